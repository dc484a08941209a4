"""Calls to AWS in a child: what comes of them is the same as in this process."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_gatewayd.aws import client
from claude_gatewayd.aws.calls.child import CallsByChild
from claude_gatewayd.aws.calls.job import CallJob, CallReport
from claude_gatewayd.aws.client import AwsCall, CallFailed
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles.chain import AssumedRole
from claude_gatewayd.aws.sources import assume_role
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.network.trust import CaFile
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.aws_state import ACCOUNT, CHAINED_ROLE, ROLE
from tests.support.daemon import wait_until


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with FakeAws() as aws:
        for name, value in aws.environ.items():
            monkeypatch.setenv(name, value)
        yield aws
        assert aws.violations == []


@pytest.fixture
def egress(aws: FakeAws) -> Egress:
    return Egress(dict(aws.environ))


@pytest.fixture
def calls() -> Iterator[CallsByChild]:
    calls = CallsByChild()
    yield calls
    calls.close()


@pytest.fixture
def home(aws: FakeAws, tmp_path: Path) -> AwsHome:
    return AwsHome(tmp_path, aws)


def role_keys(aws: FakeAws, token: str) -> AwsCall:
    arguments = {"roleName": ROLE, "accountId": ACCOUNT, "accessToken": token}
    return AwsCall("sso", "get_role_credentials", "get keys of the SSO portal", aws.region, "", arguments, {})


def test_an_answer(aws: FakeAws, egress: Egress, calls: CallsByChild) -> None:
    asked = role_keys(aws, aws.log_in()["accessToken"])
    by_child, here = calls.ask(asked, egress), client.ask(asked, egress)
    assert by_child["roleCredentials"].keys() == here["roleCredentials"].keys()
    assert by_child["roleCredentials"]["secretAccessKey"] in aws.secrets
    assert by_child["ResponseMetadata"]["HTTPHeaders"].keys() == here["ResponseMetadata"]["HTTPHeaders"].keys()


def test_a_role_that_is_assumed(aws: FakeAws, egress: Egress, calls: CallsByChild) -> None:
    """The keys go to the child by its standard input; the time of their end comes back as text."""
    key = aws.add_static_key()
    role = AssumedRole(CHAINED_ROLE, "heron", "", 0)
    base = AwsKeys(key.access_key, key.secret)
    keys, validity, _skew = assume_role.assume(role, base, aws.region, egress, "", calls.ask)
    assert keys.secret_key in aws.secrets
    assert validity.ends is not None
    assert validity.ends == pytest.approx(aws.state.now() + aws.lives.keys, abs=5)
    assert assume_role.identity(keys, aws.region, egress, "", calls.ask)[0] == ACCOUNT


def test_nothing_secret_is_in_a_text_of_it(aws: FakeAws, egress: Egress) -> None:
    asked = role_keys(aws, aws.log_in()["accessToken"])._replace(
        keys={"aws_access_key_id": "x", "aws_secret_access_key": "invented+secret"}
    )
    texts = f"{asked!r} {CallJob.of(asked, egress)!r} {CallReport(response=client.ask(asked, egress))!r}"
    assert not [secret for secret in (*aws.secrets, "invented+secret") if secret in texts]


def failure(ask: client.AskAws, asked: AwsCall, egress: Egress) -> tuple[type[CallFailed], str, str, str]:
    with pytest.raises(CallFailed) as caught:
        ask(asked, egress)
    return type(caught.value), caught.value.message, caught.value.hint, caught.value.code


@pytest.mark.parametrize("what", ["a wrong token", "nobody there", "no URL", "no certificates", "a proxy that is none"])
def test_a_failure(what: str, aws: FakeAws, calls: CallsByChild, monkeypatch: pytest.MonkeyPatch) -> None:
    if (url := {"nobody there": "http://127.0.0.1:9", "no URL": "not a url"}.get(what)) is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", url)
    given = dict(aws.environ) | ({"AWS_ENDPOINT_URL_SSO": url} if url is not None else {})
    files = (CaFile("[network] ca_file", "/dev/null"),) if what == "no certificates" else ()
    egress = Egress(given, files, "nonsense://x:y" if what == "a proxy that is none" else "")
    asked = role_keys(aws, "odd")
    found = failure(calls.ask, asked, egress)
    assert found == failure(client.ask, asked, egress)
    if what == "a wrong token":
        assert (found[0], found[3]) == (client.AwsRefused, "UnauthorizedException")


def test_a_profile_that_names_the_endpoint(aws: FakeAws, home: AwsHome, calls: CallsByChild) -> None:
    home.section("services mine", "sso =", "  endpoint_url = http://127.0.0.1:9")
    home.section("profile x", "services = mine", "region = us-west-2")
    asked = role_keys(aws, "odd")._replace(profile="x")
    given = {name: value for name, value in home.environ.items() if name != "AWS_ENDPOINT_URL_SSO"}
    kind, message, _hint, _code = failure(calls.ask, asked, Egress(given))
    assert kind is client.AwsOffline
    assert "127.0.0.1" in message


def test_a_child_that_says_nothing(aws: FakeAws, calls: CallsByChild) -> None:
    broken = Egress({**aws.environ, "PYTHONHOME": "/nonexistent"})
    kind, message, hint, _code = failure(calls.ask, role_keys(aws, "odd"), broken)
    assert kind is client.AwsServiceError
    assert message.startswith("cannot get keys of the SSO portal: the process that asks AWS has ended without an ans")
    assert hint == "claude-gatewayctl doctor"


def test_where_no_process_can_be_started_this_one_asks(aws: FakeAws, calls: CallsByChild) -> None:
    too_long = Egress({**aws.environ, "X": "x" * 4_000_000})
    asked = role_keys(aws, aws.log_in()["accessToken"])
    assert calls.ask(asked, too_long)["roleCredentials"]["secretAccessKey"] in aws.secrets


ASKS = """
import json, sys
from claude_gatewayd.aws.calls.child import CallsByChild
from claude_gatewayd.aws.client import AwsCall
from claude_gatewayd.network.egress import Egress
CallsByChild().ask(AwsCall(*json.loads(sys.argv[1])), Egress(json.loads(sys.argv[2])))
"""


def test_it_ends_with_the_process_that_has_started_it(aws: FakeAws) -> None:
    aws.portal_down("hangs")
    given = {**aws.environ, "PATH": os.environ["PATH"]}
    arguments = (json.dumps(role_keys(aws, "odd")), json.dumps(given))
    with subprocess.Popen([sys.executable, "-c", ASKS, *arguments], env=given) as asker:
        try:
            aws.wait_for("GetRoleCredentials")
            found = subprocess.run(["pgrep", "-P", str(asker.pid)], capture_output=True, text=True, check=True)
        finally:
            asker.kill()
    wait_until(lambda: not lives(int(found.stdout)))


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_end_does_not_wait(aws: FakeAws, egress: Egress, calls: CallsByChild) -> None:
    aws.portal_down("hangs")
    found: list[CallFailed] = []

    def ask() -> None:
        try:
            calls.ask(role_keys(aws, "odd"), egress)
        except CallFailed as failed:
            found.append(failed)

    asker = threading.Thread(target=ask)
    asker.start()
    aws.wait_for("GetRoleCredentials")
    calls.close()
    asker.join(10)
    assert [type(one) for one in found] == [client.AwsServiceError]
    assert failure(calls.ask, role_keys(aws, "odd"), egress)[1] == "cannot get keys of the SSO portal: the worker ends"
