"""A person on Bedrock alone: keys by SSO that are renewed, revoked, or over; and gateways that serve no Bedrock."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.bedrock import FakeBedrock
from tests.scenarios.bedrock_mode.conftest import INVOKE, STREAM, ModeScene
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import keys_of

pytestmark = pytest.mark.slow


@contextmanager
def by_sso() -> Iterator[tuple[FakeAws, AwsHome, ModeScene]]:
    """Yield a daemon whose keys come by SSO."""
    config = "[bedrock]\nprofile = 'x'\nthrough = 'direct'\n[litellm]\nload = 'lazy'\n"
    with (
        FakeAws() as aws,
        FakeBedrock(issued=aws.keys, region=aws.region) as bedrock,
        FakeBedrock(issued=aws.keys, region=aws.region) as control,
    ):
        environ = {**aws.environ, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url, "AWS_REGION": aws.region}
        environ["AWS_ENDPOINT_URL_BEDROCK"] = control.url
        daemon = Daemon(config=config, environ=environ)
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile("x")
        home.log_in()
        with daemon:
            yield aws, home, ModeScene(bedrock, control, daemon, daemon.ctl("key").stdout.strip())
        assert "Traceback" not in daemon.log


def test_sso() -> None:
    with by_sso() as (aws, home, scene):
        assert scene.ask(STREAM).status == 200
        # Revoked at AWS: renewed, and asked once more.
        aws.kill_keys()
        scene.bedrock.requests.clear()
        assert scene.ask(STREAM).status == 200
        assert [request.status for request in scene.bedrock.requests] == [403, 200]
        # The session is over, and the keys with it.
        aws.revoke_session()
        aws.kill_keys()
        reply = scene.ask(STREAM)
        assert (reply.status, reply.headers["x-should-retry"], reply.headers["retry-after"]) == (403, "false", "120")
        assert "claude-gatewayctl sso-login" in reply.json["message"]
        assert reply.headers["x-amzn-errortype"] == "AccessDeniedException"
        home.log_in()
        wait_until(lambda: scene.ask(STREAM).status == 200)


def test_a_burst_with_keys_that_were_revoked() -> None:
    """One renewal serves them all."""
    burst = 35
    with by_sso() as (aws, _, scene), ThreadPoolExecutor(burst) as pool:
        assert scene.ask().status == 200
        aws.kill_keys()
        aws.forget_calls()
        scene.bedrock.requests.clear()
        asked = [pool.submit(scene.ask, INVOKE) for _ in range(burst)]
        assert {reply.result().status for reply in asked} == {200}
        assert aws.count("GetRoleCredentials") == 1


def test_bedrock_is_off() -> None:
    config = "[bedrock]\nenabled = false\n"
    with FakeBedrock() as bedrock, FakeBedrock() as control, Daemon(config=config, environ=keys_of(bedrock)) as daemon:
        scene = ModeScene(bedrock, control, daemon, daemon.ctl("key").stdout.strip())
        reply = scene.ask()
        assert (reply.status, reply.headers["x-should-retry"]) == (424, "false")
        assert reply.json["message"] == "cannot ask Bedrock: [bedrock] enabled is false"
        assert bedrock.requests == []
        done = daemon.ctl("configure-claude", "--bedrock")
        assert (done.returncode, done.stdout) == (1, "")
        assert "Cannot use Bedrock mode: [bedrock] enabled is false" in done.stderr
        assert not (daemon.home / ".claude").exists()


@pytest.mark.parametrize("rule", ["auto", "key", "any"])
def test_callers(rule: str) -> None:
    """The key is needed whoever may spend by the fallback: there is no credential by which to tell them."""
    config = f"[bedrock]\ncallers = '{rule}'\n[listen]\nremote = {str(rule == 'key').lower()}\n"
    with FakeBedrock() as bedrock, FakeBedrock() as control, Daemon(config=config, environ=keys_of(bedrock)) as daemon:
        scene = ModeScene(bedrock, control, daemon, daemon.ctl("key").stdout.strip())
        assert scene.ask(INVOKE, key=False).status == (401 if rule == "key" else 403)
        assert scene.ask(INVOKE).status == 200
