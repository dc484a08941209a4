"""The providers of keys, with the real SDK and real files, and a fake AWS whose clock only moves when told."""

import json
import os
import re
import resource
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.aws.facts import Failure, FetchResult
from claude_gatewayd.aws.failures import FetchFailed
from claude_gatewayd.aws.profiles.source import find_source
from claude_gatewayd.aws.sources.provider import ProfileKeyProvider
from claude_gatewayd.network.egress import Egress
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.aws_state import ACCOUNT, CHAINED_ROLE, ROLE, WEB_ROLE, AwsError

LOGIN = "claude-gatewayctl sso-login"

FAILURES: list[str] = []  # of this test


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as aws:
        yield aws
    assert aws.violations == []


@pytest.fixture
def home(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsHome]:
    """Yield a home directory that botocore sees too: it takes endpoints from the process's environment.

    At the end, no secret that AWS issued may be in the text of a failure.
    """
    home = AwsHome(tmp_path, aws)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    home.sso_session()
    home.sso_profile("x")
    FAILURES.clear()
    yield home
    assert not [secret for secret in aws.secrets if any(secret in message for message in FAILURES)]


def provider_of(home: AwsHome, profile: str = "x", **environ: str) -> ProfileKeyProvider:
    given = {**home.environ, "XDG_RUNTIME_DIR": str(home.path), **environ}
    return ProfileKeyProvider(find_source(given, profile), home.aws.region, Egress(given))


def failure(provider: ProfileKeyProvider, *, force: bool = False) -> Failure:
    with pytest.raises(FetchFailed) as caught:
        provider.fetch(keys=True, force=force)
    FAILURES.append(f"{caught.value} {caught.value.failure}")
    return caught.value.failure


def keys(provider: ProfileKeyProvider, *, force: bool = False) -> FetchResult:
    result = provider.fetch(keys=True, force=force)
    FAILURES.append(f"{result.failure}")
    assert result.keys is not None
    assert result.validity is not None
    return result


def log_in(home: AwsHome, left: float) -> dict[str, Any]:
    """Log in an hour ago, with a token that has so long left; the next ones live for an hour."""
    home.aws.lives.access_token = left
    file = home.log_in()
    home.aws.lives.access_token = 3600
    os.utime(file, (time.time() - 3600, time.time() - 3600))
    return home.token()


# -- SSO


def test_keys_of_a_login(home: AwsHome) -> None:
    home.log_in()
    result = keys(provider_of(home))
    assert result.keys is not None
    assert result.keys.access_key in home.aws.keys
    assert result.validity is not None
    assert result.validity.ends is not None
    assert abs(result.validity.ends - time.time() - 3600) < 5
    assert result.login is not None
    assert result.login.refreshable
    assert result.failure is None
    assert provider_of(home).identity(result.keys) == (ACCOUNT, ROLE)
    assert dict(home.aws.counts()) == {"GetRoleCredentials": 1, "GetCallerIdentity": 1}


def test_a_legacy_profile(home: AwsHome) -> None:
    home.legacy_profile("old")
    home.log_in(home.aws.start_url)
    result = keys(provider_of(home, "old"))
    assert result.login is not None
    assert not result.login.refreshable


def test_nobody_is_logged_in(home: AwsHome) -> None:
    found = failure(provider_of(home))
    assert (found.cause, found.hint) == ("login", LOGIN)
    assert found.why == "nobody is logged in for profile x"
    assert dict(home.aws.counts()) == {}


def test_a_token_is_renewed_in_time(home: AwsHome) -> None:
    old = log_in(home, 300)
    provider = provider_of(home)
    result = provider.fetch(keys=False, force=False)
    assert dict(home.aws.counts()) == {"CreateToken": 1}
    assert result.login is not None
    assert result.login.ends > time.time() + 3500
    new = home.token()
    assert new["accessToken"] != old["accessToken"]
    assert new["refreshToken"] != old["refreshToken"]
    assert provider.reloaded() is None  # we have written it ourselves
    assert home.token_file().stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("left", [300, -1])
def test_the_session_is_over(home: AwsHome, left: int) -> None:
    """With a token that lives on, keys are got once more, so that Bedrock works for long."""
    log_in(home, left)
    home.aws.fail_next("CreateToken", AwsError("InvalidGrantException", "Invalid grant"), times=9)
    if left > 0:
        result = provider_of(home).fetch(keys=False, force=False)
        assert result.failure is not None
        found = result.failure
        assert result.keys is not None
    else:
        found = failure(provider_of(home))
    assert (found.cause, found.hint, found.why) == ("login", LOGIN, "the login of profile x has ended")


def test_a_token_that_ends_before_its_time(home: AwsHome) -> None:
    home.log_in()
    home.aws.revoke_tokens()
    keys(provider_of(home))
    assert dict(home.aws.counts()) == {"GetRoleCredentials": 2, "CreateToken": 1}


def test_a_token_that_cannot_be_renewed_ends_before_its_time(home: AwsHome) -> None:
    home.legacy_profile("old")
    home.log_in(home.aws.start_url)
    home.aws.revoke_tokens()
    found = failure(provider_of(home, "old"))
    assert (found.cause, found.hint) == ("login", f"{LOGIN}")
    assert dict(home.aws.counts()) == {"GetRoleCredentials": 1}


def test_the_portal_refuses_a_token_however_new(home: AwsHome) -> None:
    home.log_in()
    home.aws.fail_next("GetRoleCredentials", AwsError("UnauthorizedException", "Session token not found"), times=9)
    assert failure(provider_of(home)).cause == "login"
    assert dict(home.aws.counts()) == {"GetRoleCredentials": 2, "CreateToken": 1}


@pytest.mark.parametrize("service", ["oidc", "portal"])
def test_offline_is_no_ended_login(home: AwsHome, service: str) -> None:
    log_in(home, -1)
    (home.aws.oidc_down if service == "oidc" else home.aws.portal_down)()
    found = failure(provider_of(home))
    assert found.cause == "offline"
    assert "login" not in found.hint
    assert "offline" in found.why


def test_a_valid_token_is_used_while_it_cannot_be_renewed(home: AwsHome) -> None:
    """botocore would raise here: a network that is away for a moment in the last 15 minutes of each hour."""
    log_in(home, 300)
    home.aws.oidc_down()
    result = keys(provider_of(home))
    assert result.failure is not None
    assert result.failure.cause == "offline"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (AwsError("TooManyRequestsException", "slow"), "busy"),
        (AwsError("ServiceUnavailable", "down"), "broken"),
        (AwsError("ForbiddenException", "No access"), "setup"),
    ],
)
def test_what_the_portal_may_say(home: AwsHome, error: AwsError, cause: str) -> None:
    home.log_in()
    home.aws.fail_next("GetRoleCredentials", error, times=9)
    assert failure(provider_of(home)).cause == cause


def test_another_program_has_renewed_the_login(home: AwsHome) -> None:
    """It has used our refresh token, AWS refuses it, and what counts is on the disk a moment later."""
    spent = log_in(home, 300)
    provider = provider_of(home)
    theirs = home.aws.log_in()
    home.aws.state.refresh_tokens[spent["refreshToken"]].used = True
    late = threading.Timer(0.6, home.write_token, (theirs,))
    late.start()
    result = keys(provider)
    assert result.failure is None
    assert home.token()["accessToken"] == theirs["accessToken"]
    late.join()


def test_two_at_once_renew_once(home: AwsHome) -> None:
    """Two generations, or two daemons: the second waits for the lock, reads again, and has nothing to do."""
    log_in(home, 300)
    home.aws.latency["CreateToken"] = 0.3
    found: list[FetchResult] = []
    threads = [
        threading.Thread(target=lambda: found.append(provider_of(home).fetch(keys=False, force=False)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert home.aws.count("CreateToken") == 1
    assert [result.failure for result in found] == [None] * 8
    assert len({result.login.ends // 2 for result in found if result.login is not None}) <= 2


@pytest.mark.parametrize("content", ["", "{", '{"accessToken": "x"}', '{"a": 1}{"a": 1}', "\x00" * 100, "[]"])
def test_torn_for_good(home: AwsHome, content: str) -> None:
    home.log_in()
    home.token_file().write_text(content)
    found = failure(provider_of(home))
    assert (found.cause, found.hint) == ("login", LOGIN)
    assert "damaged" in found.why


def test_torn_for_a_moment(home: AwsHome) -> None:
    home.log_in()
    whole = home.token_file().read_text()
    home.token_file().write_text(whole[:40])
    late = threading.Timer(0.08, home.token_file().write_text, (whole,))
    late.start()
    assert keys(provider_of(home)).failure is None
    late.join()


def test_a_cache_that_cannot_be_written(home: AwsHome, caplog: pytest.LogCaptureFixture) -> None:
    """AWS takes a refresh token once: what has come for it is kept in memory, and renewed from there."""
    before = log_in(home, 300)
    provider = provider_of(home)
    home.aws.lives.access_token = 300  # so that each is due at once
    with unwritable(home.cache):
        for turn in range(2):
            assert keys(provider).failure is None
            assert home.aws.count("CreateToken") == turn + 1
        assert home.token() == before
    assert "kept in memory only: cannot write to" in caplog.text
    assert keys(provider).failure is None
    assert home.token() != before


@contextmanager
def unwritable(directory: Path) -> Iterator[None]:
    """Let nothing be written in a directory; root too, whom a mode does not hold up, has no room for a file."""
    if os.geteuid() != 0:
        directory.chmod(0o500)
        yield
        directory.chmod(0o700)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_new_login_is_noticed(home: AwsHome) -> None:
    provider = provider_of(home)
    assert failure(provider).cause == "login"
    assert provider.reloaded() is None
    home.log_in()
    assert provider.reloaded() is provider
    keys(provider)
    assert provider.reloaded() is None


def test_another_profile_is_noticed(home: AwsHome) -> None:
    home.log_in()
    provider = provider_of(home)
    keys(provider)
    home.section("profile unrelated", "region = us-east-1")
    assert provider.reloaded() is provider
    assert provider.reloaded() is None
    home.config.write_text(home.config.read_text().replace(ROLE, "ReadOnly"))
    other = provider.reloaded()
    assert other is not None
    assert other is not provider
    assert other.facts().role == "ReadOnly"


def test_a_file_that_breaks_is_named_and_costs_no_keys(home: AwsHome) -> None:
    """The provider stays: who has its keys keeps them, and another look at the mended file goes on as before."""
    home.log_in()
    provider = provider_of(home)
    keys(provider)
    whole = home.config.read_text()
    for broken in (f"{whole}[profile x]\nregion = y\n", f"{whole}<<<<<<< HEAD\n", f"\ufeff{whole}"):
        home.config.write_text(broken)
        assert provider.reloaded() is provider
        found = failure(provider)
        assert found.cause == "setup"
        assert re.match(rf"{home.config}:\d+ cannot be used: ", found.why)
        assert provider.reloaded() is None
    home.config.write_text(whole)
    assert provider.reloaded() is provider
    keys(provider)
    home.config.write_text(broken)
    assert provider.reloaded() is provider
    home.config.write_text(whole.replace(ROLE, "ReadOnly"))
    other = provider.reloaded()
    assert other is not None
    assert other.facts().role == "ReadOnly"


def test_a_wrong_clock(home: AwsHome) -> None:
    """Keys that have just come do not look as if they had ended, and the clock is named."""
    home.aws.state.clock_offset = -3600.0
    home.log_in()
    home.write_token({**home.token(), "expiresAt": "2100-01-01T00:00:00Z"})
    home.aws.lives.keys = 1800
    result = keys(provider_of(home))
    assert result.validity is not None
    assert result.validity.ends is not None
    assert abs(result.validity.ends - time.time() - 1800) < 5
    assert result.failure is not None
    assert result.failure.cause == "clock"
    assert "60 min ahead of" in result.failure.why


# -- roles, and what else there is


def test_a_chain_keeps_the_keys_below_while_they_are_young(home: AwsHome) -> None:
    home.chain_profile("deep", "x")
    home.log_in()
    provider = provider_of(home, "deep")
    for _ in range(3):
        keys(provider)
    assert dict(home.aws.counts()) == {"GetRoleCredentials": 1, "AssumeRole": 3}
    keys(provider, force=True)
    assert dict(home.aws.counts()) == {"GetRoleCredentials": 2, "AssumeRole": 4}
    home.aws.kill_keys()
    keys(provider)
    assert dict(home.aws.counts()) == {"GetRoleCredentials": 3, "AssumeRole": 6}


def test_a_chain_outlives_its_login(home: AwsHome) -> None:
    home.chain_profile("deep", "x")
    home.log_in()
    provider = provider_of(home, "deep")
    keys(provider)
    home.aws.revoke_session()
    home.write_token({**home.token(), "expiresAt": "2000-01-01T00:00:00Z"})
    result = keys(provider)
    assert result.failure is not None
    assert (result.failure.cause, result.failure.hint) == ("login", f"{LOGIN} --profile x")


def test_a_role_that_nobody_may_assume(home: AwsHome) -> None:
    home.chain_profile("deep", "x", role_arn=f"arn:aws:iam::{ACCOUNT}:role/Other")
    home.log_in()
    found = failure(provider_of(home, "deep"))
    assert found.cause == "setup"
    assert "AccessDenied" in found.why


def test_web_identity(home: AwsHome, tmp_path: Path) -> None:
    token = tmp_path / "token"
    home.section("profile web", f"role_arn = {WEB_ROLE}", f"web_identity_token_file = {token}")
    found = failure(provider_of(home, "web"))
    assert "cannot be read: no such file" in found.why
    token.write_text("invented.web.identity\n")
    assert keys(provider_of(home, "web")).failure is None
    token.write_text(_jwt(time.time() - 1))
    assert "has expired" in failure(provider_of(home, "web")).why
    assert home.aws.count("AssumeRoleWithWebIdentity") == 1


def _jwt(ends: float) -> str:
    import base64

    body = base64.urlsafe_b64encode(json.dumps({"exp": ends}).encode()).decode().rstrip("=")
    return f"e30.{body}.x"


def test_the_role_of_a_pod(home: AwsHome, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("invented.web.identity")
    provider = provider_of(home, "absent", AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ROLE_ARN=WEB_ROLE)
    assert provider.facts().kind == "web-identity"
    assert keys(provider).failure is None


def test_temporary_keys_in_a_file(home: AwsHome) -> None:
    file = home.config.with_name("credentials")

    def write(number: int) -> None:
        lines = [f"aws_access_key_id = ASIA{number}", "aws_secret_access_key = s", "aws_session_token = t"]
        file.write_text("\n".join(["[tmp]", *lines, "x_security_token_expires = 2100-01-01T00:00:00Z"]) + "\n")

    write(1)
    provider = provider_of(home, "tmp")
    result = keys(provider)
    assert result.validity is not None
    assert result.validity.ends is not None
    assert not provider.facts().renewable
    write(2)
    other = provider.reloaded()
    assert isinstance(other, ProfileKeyProvider)
    assert other is not provider
    again = keys(other).keys
    assert again is not None
    assert again.access_key == "ASIA2"


def test_keys_of_the_environment(home: AwsHome) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "ASIA1", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t",
               "AWS_CREDENTIAL_EXPIRATION": "2100-01-01T00:00:00Z"}  # fmt: skip
    provider = provider_of(home, **environ)
    result = keys(provider)
    assert provider.facts().kind == "temporary"
    assert result.validity is not None
    assert result.validity.ends is not None


def test_a_process(home: AwsHome) -> None:
    found: dict[str, Any] = {"Version": 1, "AccessKeyId": "ASIAX", "SecretAccessKey": "s", "SessionToken": "t"}
    line = shlex.join([sys.executable, "-c", f"print({json.dumps(found)!r})"])
    home.section("profile process", f"credential_process = {line}")
    result = keys(provider_of(home, "process")).keys
    assert result is not None
    assert result.access_key == "ASIAX"
    home.section("profile broken", f"credential_process = {shlex.quote(sys.executable)} -c exit(3)")
    assert "credential_process of profile broken ended with status" in failure(provider_of(home, "broken")).why


def test_a_bedrock_api_key(home: AwsHome) -> None:
    result = keys(provider_of(home, AWS_BEARER_TOKEN_BEDROCK="invented")).keys
    assert result is not None
    assert result.bearer == "invented"


class Metadata(BaseHTTPRequestHandler):
    """What a container, or an EC2 instance, finds its role's keys at."""

    def do_PUT(self) -> None:
        self._answer("a token")

    def do_GET(self) -> None:
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        keys = {"Code": "Success", "AccessKeyId": "ASIAM", "SecretAccessKey": "s", "Token": "t", "Expiration": ends}
        self._answer("a-role" if self.path.endswith("/security-credentials/") else json.dumps(keys))

    def _answer(self, found: str) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(found)))
        self.end_headers()
        self.wfile.write(found.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("where", ["container", "instance"])
def test_the_role_of_a_machine(home: AwsHome, where: str) -> None:
    home.section("profile bare", "region = us-west-2")
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        found = {
            "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}keys"},
            "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url, "AWS_EC2_METADATA_DISABLED": "false"},
        }[where]
        provider = provider_of(home, "bare", **found)
        result = keys(provider)
        server.shutdown()
    assert provider.facts().kind == "container"
    assert result.keys is not None
    assert result.keys.access_key == "ASIAM"
    assert result.validity is not None
    assert result.validity.ends is not None
    assert abs(result.validity.ends - time.time() - 3600) < 60


def test_aws_login_names_what_is_missing(home: AwsHome) -> None:
    if find_spec("awscrt") is not None:
        pytest.skip("awscrt is installed here")
    home.section("profile cli", "login_session = arn:aws:iam::111122223333:user/heron")
    found = failure(provider_of(home, "cli"))
    assert found.cause == "setup"
    assert "needs awscrt" in found.why
    assert found.hint.endswith("-m pip install 'claude-gatewayd[aws-login]'")


def test_a_profile_that_cannot_work_asks_nobody(home: AwsHome) -> None:
    home.section("profile mfa", f"role_arn = {CHAINED_ROLE}", "source_profile = x", "mfa_serial = arn:x")
    found = failure(provider_of(home, "mfa"))
    assert "MFA" in found.why
    home.section("profile torn", "sso_session = crop", "sso_account_id = 1", "sso_role_name = x")
    assert "did you mean corp?" in failure(provider_of(home, "torn")).why
    assert dict(home.aws.counts()) == {}


def test_no_source_at_all(home: AwsHome) -> None:
    provider = provider_of(home, "xx")
    assert provider.facts().kind == "none"
    assert "no profile xx (did you mean x?)" in failure(provider).why


@pytest.mark.parametrize("token", ["a\r\nX-Other: b", "\x1b[31m", "é", "abc abc abc", "\udcff", "a" * 50_000])
def test_keys_that_no_request_can_carry_are_none(home: AwsHome, token: str) -> None:
    (home.path / "keys.json").write_text(
        json.dumps({"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "b", "SessionToken": token})
    )
    home.section("profile process", f"credential_process = cat {shlex.quote(str(home.path / 'keys.json'))}")
    provider = provider_of(home, "process")
    assert failure(provider).cause == "broken"
    assert token[:20] not in failure(provider).why
