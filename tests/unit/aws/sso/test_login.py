"""Logging in, as a person and as AWS's other tools see it."""

import json
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from claude_gatewayd.aws.client import AwsOffline, WrongClock
from claude_gatewayd.aws.profiles.sso_profile import SsoProfile, sso_profile
from claude_gatewayd.aws.sso import login, token_cache
from claude_gatewayd.aws.sso.login import LoginMethod, choose_method, log_in, log_out
from claude_gatewayd.aws.sso.oidc import AccessDenied, DeviceCode
from claude_gatewayd.aws.sso.token_cache import SsoToken
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.network.egress import Egress
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.aws_state import ACCOUNT, ROLE, AwsError
from tests.fakes.browser import visit
from tests.support.threads import NewThreads

BROWSER, DEVICE = LoginMethod("browser"), LoginMethod("device-code")


class SleepingClock:
    """A clock that moves on only in a sleep, and keeps a record of the sleeps."""

    def __init__(self) -> None:
        self.now = time.time()
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


class FakePrompt:
    """Somebody who goes where they are sent, or does what a test wants."""

    def __init__(self, goes: Callable[[str], object] = visit) -> None:
        self.goes = goes
        self.urls: list[str] = []
        self.codes: list[DeviceCode] = []
        self.waited = 0
        self.verification_uri = ""

    def open_page(self, url: str) -> None:
        self.urls.append(url)
        got = self.goes(url)
        self.verification_uri = got[1] if isinstance(got, tuple) else ""

    def show_code(self, device: DeviceCode) -> None:
        self.codes.append(device)

    def waiting(self, left: float) -> None:
        assert 0 < left <= login.APPROVAL_TIMEOUT
        self.waited += 1


@pytest.fixture
def clock() -> SleepingClock:
    return SleepingClock()


@pytest.fixture
def aws(clock: SleepingClock) -> Iterator[FakeAws]:
    new = NewThreads()
    with FakeAws(clock=clock) as aws:
        yield aws
        assert aws.violations == []
    assert new.names("sso-callback") == []


@pytest.fixture
def home(tmp_path: Path, aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> AwsHome:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    home = AwsHome(tmp_path, aws)
    home.sso_session()
    home.sso_profile("sso")
    home.legacy_profile("legacy")
    home.chain_profile("chain", "sso")
    for name, value in {**home.environ, "XDG_RUNTIME_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return home


def environ_of(home: AwsHome) -> dict[str, str]:
    return {**home.environ, "XDG_RUNTIME_DIR": str(home.path)}


def logged_in(
    home: AwsHome, method: LoginMethod, prompt: FakePrompt | None = None, profile: str = "sso", **more: Any
) -> SsoToken:
    environ = environ_of(home)
    return log_in(sso_profile(environ, profile), environ, Egress(environ), method, prompt or FakePrompt(), **more)


def by_device(home: AwsHome, clock: SleepingClock, prompt: FakePrompt | None = None, profile: str = "sso") -> SsoToken:
    return logged_in(home, DEVICE, prompt, profile, sleep=clock.sleep, clock=clock)


def identity(home: AwsHome, profile: str = "sso") -> str:
    """Return who the AWS SDK of another program says that we are."""
    code = f"import boto3; print(boto3.Session(profile_name={profile!r}).client('sts').get_caller_identity()['Arn'])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=home.environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stdout or done.stderr


def is_good(home: AwsHome) -> bool:
    """Say whether the token file holds one that AWS has given out, and not taken back."""
    return not home.aws.state.access_tokens[home.token()["accessToken"]].session.revoked


# -- what comes of it

ISO = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.mark.parametrize("method", [BROWSER, DEVICE])
def test_the_file_is_that_of_the_aws_cli(
    home: AwsHome, aws: FakeAws, clock: SleepingClock, method: LoginMethod
) -> None:
    token = logged_in(home, method, sleep=clock.sleep, clock=clock)
    file = home.token_file("corp")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    fields = json.loads(file.read_text())
    assert list(fields) == [
        "startUrl", "region", "accessToken", "expiresAt", "clientId", "clientSecret", "registrationExpiresAt",
        "refreshToken",
    ]  # fmt: skip
    assert fields["startUrl"] == aws.start_url
    assert fields["region"] == aws.region
    assert fields["accessToken"] == token.access_token
    assert re.fullmatch(ISO, fields["expiresAt"])
    assert re.fullmatch(ISO, fields["registrationExpiresAt"])
    assert token_cache.read(file) == replace(token, expires_at=float(int(token.expires_at)))
    assert ROLE in identity(home)


@pytest.mark.parametrize("method", [BROWSER, DEVICE])
def test_botocore_refreshes_it(home: AwsHome, aws: FakeAws, clock: SleepingClock, method: LoginMethod) -> None:
    aws.lives.access_token = 600  # below botocore's fifteen minutes
    token = logged_in(home, method, sleep=clock.sleep, clock=clock)
    aws.lives.access_token = 3600
    aws.forget_calls()
    assert ROLE in identity(home)
    assert aws.counts() == {"CreateToken": 1, "GetRoleCredentials": 1, "GetCallerIdentity": 1}
    renewed = token_cache.read(home.token_file("corp"))
    assert renewed is not None
    assert renewed.refresh_token not in ("", token.refresh_token)
    assert renewed.registration == replace(token.registration, expires_at=renewed.registration.expires_at)


def test_a_legacy_profile(home: AwsHome, aws: FakeAws, clock: SleepingClock) -> None:
    token = by_device(home, clock, profile="legacy")
    assert token.refresh_token == ""
    assert "scopes" not in json.loads(aws.calls_of("RegisterClient")[0].body)
    assert home.token(aws.start_url)["accessToken"] == token.access_token
    assert ROLE in identity(home, "legacy")


def test_a_chain_logs_in_at_its_end(home: AwsHome) -> None:
    logged_in(home, BROWSER, profile="chain")
    assert "Chained" in identity(home, "chain")
    assert ROLE not in identity(home, "legacy"), "that is another login"


def test_a_second_login(home: AwsHome, aws: FakeAws) -> None:
    """It registers anew, whatever has become of the first; what others wrote into the file stays."""
    first = logged_in(home, BROWSER)
    home.write_token({**home.token(), "anotherTools": {"own": 1}})
    aws.forget_clients()
    aws.revoke_session()
    second = logged_in(home, BROWSER)
    assert second.client_id != first.client_id
    assert aws.count("RegisterClient") == 2
    assert home.token()["anotherTools"] == {"own": 1}
    assert home.token()["clientId"] == second.client_id
    assert is_good(home)


def test_a_token_file_that_is_torn_is_no_obstacle(home: AwsHome) -> None:
    home.write_token({})
    home.token_file().write_text('{"accessToken": "x')
    logged_in(home, BROWSER)
    assert is_good(home)


def test_a_runtime_directory_that_is_no_good_does_not_cost_the_login(home: AwsHome) -> None:
    (home.path / "claude-gateway").write_text("in the way")
    logged_in(home, BROWSER)
    assert is_good(home)


# -- the browser


def test_what_the_browser_is_sent_to(home: AwsHome, aws: FakeAws) -> None:
    prompt = FakePrompt()
    logged_in(home, BROWSER, prompt)
    assert json.loads(aws.calls_of("RegisterClient")[0].body) == {
        "clientName": "claude-gateway-corp",
        "clientType": "public",
        "scopes": ["sso:account:access"],
        "grantTypes": ["authorization_code", "refresh_token"],
        "redirectUris": ["http://127.0.0.1/oauth/callback"],
        "issuerUrl": aws.start_url,
    }
    page = urlsplit(prompt.urls[0])
    assert f"{page.scheme}://{page.netloc}{page.path}" == f"{aws.url('oidc')}/authorize"
    query = parse_qs(page.query)
    assert set(query) == {
        "response_type", "client_id", "redirect_uri", "state", "code_challenge_method", "scopes", "code_challenge"
    }  # fmt: skip
    assert query["scopes"] == ["sso:account:access"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/oauth/callback", query["redirect_uri"][0])
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", query["code_challenge"][0])
    assert len(query["state"][0]) >= 43
    assert "<h1>Approved</h1>" in prompt.verification_uri
    assert aws.counts() == {"RegisterClient": 1, "Authorize": 1, "CreateToken": 1}


def test_the_browser_that_comes_back_with_another_state(home: AwsHome) -> None:
    """And with no state, a state twice, to another path, with another method: only the right one is heard."""
    pages: list[tuple[int, str]] = []

    def goes(url: str) -> tuple[int, str]:
        query = parse_qs(urlsplit(url).query)
        back, state = query["redirect_uri"][0], query["state"][0]
        for other in (
            {"code": "stolen", "state": "x"},
            {"code": "stolen"},
            {"error": "access_denied", "state": state[:-1]},
        ):
            pages.append(visit(f"{back}?{urlencode(other)}"))
        pages.append(visit(f"{back}?code=stolen&state={state}&state={state}"))
        pages.append(visit(back.replace("/oauth/callback", "/elsewhere") + f"?code=stolen&state={state}"))
        return visit(url)

    logged_in(home, BROWSER, FakePrompt(goes))
    assert [status for status, _ in pages] == [400, 400, 400, 400, 404]
    assert "another login" in pages[0][1]
    assert is_good(home)


def test_it_listens_on_this_machine_alone(home: AwsHome) -> None:
    tables: list[str] = []

    def goes(url: str) -> tuple[int, str]:
        port = urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0]).port
        listens = f":{port:04X} 00000000:0000 0A"
        tables.extend(line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if listens in line)
        return visit(url)

    if not Path("/proc/net/tcp").exists():
        pytest.skip("/proc/net/tcp tells who listens where, and is Linux's")
    logged_in(home, BROWSER, FakePrompt(goes))
    assert [address.partition(":")[0] for address in tables] == ["0100007F"]


def refused(home: AwsHome, method: LoginMethod, **more: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        logged_in(home, method, **more)
    assert not home.token_file().exists()
    assert not list(home.path.rglob("*.tmp"))
    shown = f"{caught.value.message} {caught.value.hint} {caught.value!r}"
    assert not [secret for secret in home.aws.secrets if secret in shown]
    return caught.value


def test_who_denies_in_the_browser(home: AwsHome, aws: FakeAws) -> None:
    aws.user("denies")
    prompt = FakePrompt()
    error = refused(home, BROWSER, prompt=prompt)
    assert isinstance(error, AccessDenied)
    assert error.message == "cannot log in: it was denied in the browser"
    assert error.hint == "claude-gatewayctl sso-login --profile sso"
    assert "<h1>Not approved</h1>" in prompt.verification_uri


@pytest.mark.parametrize(
    ("error", "why"),
    [("server_error", "server_error"), ("<script>alert(1)</script>", "an unknown error"), ("", "an unknown error")],
)
def test_a_browser_that_comes_back_with_an_error(home: AwsHome, error: str, why: str) -> None:
    def goes(url: str) -> tuple[int, str]:
        query = parse_qs(urlsplit(url).query)
        return visit(f"{query['redirect_uri'][0]}?{urlencode({'error': error, 'state': query['state'][0]})}")

    prompt = FakePrompt(goes)
    assert why in refused(home, BROWSER, prompt=prompt).message
    assert "<script>" not in prompt.verification_uri


def test_a_browser_that_never_comes_back(home: AwsHome, aws: FakeAws) -> None:
    aws.user("ignores")
    prompt = FakePrompt()
    error = refused(home, BROWSER, prompt=prompt, timeout=0.3)
    assert error.message == "cannot log in: nobody approved it in the browser within 0.3 s"
    assert prompt.waited >= 1
    with pytest.raises(OSError, match="refused"):
        visit(parse_qs(urlsplit(prompt.urls[0]).query)["redirect_uri"][0])


def test_a_code_that_aws_does_not_take(home: AwsHome, aws: FakeAws) -> None:
    aws.fail_next("CreateToken", AwsError("InvalidGrantException", "canary"))
    assert refused(home, BROWSER).message.startswith("cannot finish the login: ")


@pytest.mark.parametrize("method", [BROWSER, DEVICE])
def test_who_gives_up(home: AwsHome, clock: SleepingClock, aws: FakeAws, method: LoginMethod) -> None:
    class Impatient(FakePrompt):
        def waiting(self, left: float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        logged_in(home, method, Impatient(lambda _url: None), sleep=clock.sleep, clock=clock)
    assert list(home.cache.iterdir()) == []


# -- the code


def test_the_code(home: AwsHome, aws: FakeAws, clock: SleepingClock) -> None:
    aws.state.device_polls = 3
    aws.state.device_interval = 2
    prompt = FakePrompt()
    by_device(home, clock, prompt)
    assert prompt.codes[0].verification_uri_complete.endswith(f"?user_code={prompt.codes[0].user_code}")
    assert json.loads(aws.calls_of("RegisterClient")[0].body) == {
        "clientName": "claude-gateway-corp", "clientType": "public", "scopes": ["sso:account:access"],
    }  # fmt: skip
    assert aws.count("CreateToken") == 4
    assert sum(clock.slept) == pytest.approx(8.0)
    assert prompt.waited == 8


def test_slow_down_means_five_seconds_more_each_time(home: AwsHome, aws: FakeAws, clock: SleepingClock) -> None:
    aws.fail_next("CreateToken", AwsError("SlowDownException", ""), times=2)
    aws.state.device_polls = 0
    by_device(home, clock)
    assert sum(clock.slept) == pytest.approx(1.0 + 6.0 + 11.0)


def test_a_network_that_is_away_for_a_moment(home: AwsHome, aws: FakeAws, clock: SleepingClock) -> None:
    aws.state.device_polls = 0
    aws.fail_next("CreateToken", times=3)  # so often one question is asked
    by_device(home, clock)
    assert is_good(home)


def test_who_denies_the_code(home: AwsHome, aws: FakeAws, clock: SleepingClock) -> None:
    aws.user("denies")
    error = refused(home, DEVICE, sleep=clock.sleep, clock=clock)
    assert isinstance(error, AccessDenied)
    assert error.message == "cannot log in: it was denied in the browser"


@pytest.mark.parametrize("aws_ends_it", [False, True])
def test_a_code_that_nobody_types(home: AwsHome, aws: FakeAws, clock: SleepingClock, aws_ends_it: bool) -> None:
    aws.user("ignores")
    aws.state.device_interval = 30
    if aws_ends_it:
        aws.fail_next("CreateToken", AwsError("ExpiredTokenException", ""))
    error = refused(home, DEVICE, sleep=clock.sleep, clock=clock)
    assert error.message == "cannot log in: nobody approved it in the browser within 10 min"
    assert error.hint == "claude-gatewayctl sso-login --profile sso"
    assert aws.count("CreateToken") == (1 if aws_ends_it else 20)


# -- before anybody is bothered


@pytest.mark.parametrize("method", [BROWSER, DEVICE])
def test_a_cache_directory_that_cannot_be_written(home: AwsHome, aws: FakeAws, method: LoginMethod) -> None:
    (home.path / ".aws" / "sso").write_text("in the way")
    assert "cannot write to" in refused(home, method).message
    assert aws.counts() == {}


@pytest.mark.parametrize("method", [BROWSER, DEVICE])
def test_offline(home: AwsHome, aws: FakeAws, method: LoginMethod) -> None:
    aws.offline()
    error = refused(home, method)
    assert isinstance(error, AwsOffline)
    assert error.message == "cannot start a login: AWS cannot be reached at 127.0.0.1; this machine seems to be offline"
    aws.up()


@pytest.mark.parametrize("method", [BROWSER, DEVICE])
def test_a_wrong_clock(home: AwsHome, aws: FakeAws, method: LoginMethod) -> None:
    aws.state.clock_offset = 600.0
    prompt = FakePrompt()
    error = refused(home, method, prompt=prompt)
    assert isinstance(error, WrongClock)
    assert (
        error.message
        == "cannot start a login: this machine's clock is 10 min behind AWS's, so AWS rejects its signatures"
    )
    assert not prompt.urls
    assert not prompt.codes


def test_a_start_url_that_is_not_aws_s(home: AwsHome, aws: FakeAws) -> None:
    aws.state.start_url = "https://other.awsapps.com/start"
    assert "AWS rejects the start URL" in refused(home, BROWSER).message


# -- which way

MODERN = SsoProfile("p", "p", "corp", "https://x", "r", ("s",), ACCOUNT, ROLE)
LEGACY = MODERN._replace(session="", scopes=())


@pytest.mark.parametrize(
    ("profile", "environ", "files", "platform", "device_code", "expected"),
    [
        (MODERN, {"DISPLAY": ":0"}, (), "linux", False, LoginMethod("browser")),
        (MODERN, {"WAYLAND_DISPLAY": "w"}, (), "linux", False, LoginMethod("browser")),
        (MODERN, {}, (), "darwin", False, LoginMethod("browser")),
        (MODERN, {"DISPLAY": ":0"}, (), "linux", True, LoginMethod("device-code")),
        (MODERN, {}, (), "linux", True, LoginMethod("device-code", has_browser=False)),
        (MODERN, {}, (), "linux", False, LoginMethod("device-code", "there is no display here", has_browser=False)),
        (MODERN, {"BROWSER": "lynx"}, (), "linux", False, LoginMethod("browser")),
        (MODERN, {"BROWSER": "code"}, ("/.dockerenv",), "linux", False, LoginMethod("browser")),
        (
            MODERN, {"DISPLAY": ":0"}, ("/.dockerenv",), "linux", False,
            LoginMethod("device-code", "this is a container", has_browser=False),
        ),
        (
            MODERN, {"DISPLAY": ":0"}, ("/run/.containerenv",), "linux", False,
            LoginMethod("device-code", "this is a container", has_browser=False),
        ),
        (
            MODERN, {"DISPLAY": ":0", "container": "podman"}, (), "linux", False,
            LoginMethod("device-code", "this is a container", has_browser=False),
        ),
        (
            MODERN, {"SSH_CONNECTION": "1 2 3 4", "DISPLAY": ":10", "BROWSER": "x"}, (), "linux", False,
            LoginMethod("device-code", "this is an SSH session", has_browser=False),
        ),
        (
            MODERN, {"SSH_TTY": "/dev/pts/1"}, (), "darwin", False,
            LoginMethod("device-code", "this is an SSH session", has_browser=False),
        ),
        (
            MODERN, {"WSL_DISTRO_NAME": "Debian", "DISPLAY": ":0"}, (), "linux", False,
            LoginMethod("device-code", "this is WSL, whose browser may not reach it", has_browser=False),
        ),
        (
            LEGACY, {"DISPLAY": ":0"}, (), "linux", False,
            LoginMethod("device-code", "a profile without an sso-session supports nothing else"),
        ),
    ],
)  # fmt: skip
def test_which_method(
    profile: SsoProfile, environ: dict[str, str], files: tuple[str, ...], platform: str, device_code: bool,
    expected: LoginMethod,
) -> None:  # fmt: skip
    chosen = choose_method(profile, environ, device_code=device_code, exists=files.__contains__, platform=platform)
    assert chosen == expected


# -- logging out


def log_out_of(home: AwsHome) -> str:
    return log_out(sso_profile(environ_of(home), "sso"), environ_of(home), Egress(environ_of(home)))


def test_logging_out(home: AwsHome, aws: FakeAws) -> None:
    token = logged_in(home, BROWSER)
    assert log_out_of(home) == "done"
    assert not home.token_file().exists()
    assert aws.state.access_tokens[token.access_token].session.revoked
    assert log_out_of(home) == "not logged in"
    assert aws.count("Logout") == 1


def test_logging_out_of_what_is_over(home: AwsHome, aws: FakeAws) -> None:
    home.log_in()
    aws.revoke_session()
    assert log_out_of(home) == "done"
    assert not home.token_file().exists()


@pytest.mark.parametrize("why", ["offline", "torn"])
def test_logging_out_without_aws(home: AwsHome, aws: FakeAws, why: str) -> None:
    file = home.log_in()
    if why == "offline":
        aws.portal_down()
    else:
        file.write_text("{")
    assert log_out_of(home) == "only here"
    assert not file.exists()
