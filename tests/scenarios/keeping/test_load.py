"""One daemon under load, with credentials that live seconds: what AWS and the person do to it, one after another."""

import http.client
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from tests.fakes.aws_state import ACCOUNT
from tests.fakes.bedrock_body import VERSION
from tests.support.daemon import Daemon, wait_until
from tests.support.keeping import CONFIG, KEYS_LIVE, TOKENS_LIVE, Kept, Load, kept_daemon
from tests.support.stage import THROUGH, turn

pytestmark = pytest.mark.slow

_SHORT = 4.0


@pytest.fixture(scope="module", params=THROUGH)
def daemon(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Return a daemon of this module, for each transport: loading LiteLLM takes ten seconds."""
    with kept_daemon(request.param) as kept:
        yield kept


@pytest.fixture
def kept(daemon: Kept) -> Kept:
    """Return it with all in order."""
    daemon.start_anew()
    return daemon


def test_thirty_seconds(kept: Kept) -> None:
    """Nothing fails, and nothing is renewed more than once in half of a life."""
    with Load(kept) as load:
        load.lasts(30)
    print(load.summary("30 s, keys of 6 s, tokens of 9 s"))
    assert load.bad == []
    assert load.good["streamed"] > 60
    assert load.good["whole"] > 60
    assert kept.aws.count("GetRoleCredentials") <= load.seconds / (KEYS_LIVE / 2) + 1
    assert kept.aws.count("CreateToken") <= load.seconds / (TOKENS_LIVE / 2) + 1
    assert kept.aws.count("GetCallerIdentity") <= kept.aws.count("GetRoleCredentials") + 1
    credentials = kept.credentials()
    assert (credentials["state"], credentials["account"], credentials["role"]) == ("ok", ACCOUNT, "AdministratorAccess")


def test_keys_are_killed_and_a_token_is_revoked(kept: Kept) -> None:
    """AWS may end both before their time."""
    with Load(kept) as load:
        load.lasts(1)
        killed = kept.aws.kill_keys()
        load.lasts(2)
        killed += kept.aws.kill_keys("expired")
        load.lasts(1)
        kept.aws.revoke_tokens()
        load.lasts(4)
    refused = [request for request in kept.bedrock.requests if request.status == 403]
    print(load.summary(f"{killed} keys killed, {len(refused)} requests refused, a token revoked"))
    assert load.bad == []
    assert killed >= 2
    assert refused
    assert kept.aws.count("CreateToken") >= 1


@pytest.mark.parametrize("renewal", ["due", "forced"])
def test_all_keys_are_revoked_while_a_renewal_is_under_way(kept: Kept, renewal: str) -> None:
    """The portal takes 0.3 s for an answer, so it sends keys that were revoked in the meantime."""
    kept.aws.latency["GetRoleCredentials"] = 0.3
    killed = 0
    with Load(kept) as load:
        for _ in range(6):
            if renewal == "forced":
                killed += kept.aws.kill_keys()
            kept.aws.forget_calls()
            kept.aws.wait_for("GetRoleCredentials")
            load.lasts(0.1)
            killed += kept.aws.kill_keys()
            since = len(kept.bedrock.requests)
            wait_until(lambda since=since: load.bad or _accepted(kept, since) > 12)
    refused = [request for request in kept.bedrock.requests if request.status == 403]
    print(load.summary(f"{killed} keys revoked, {len(refused)} requests refused"))
    assert load.bad == []
    assert killed >= 12
    assert refused


def _accepted(kept: Kept, since: int) -> int:
    """Count the requests that Bedrock has accepted, from the one of this number on."""
    return sum(request.status == 200 for request in kept.bedrock.requests[since:])


def test_thirty_requests_in_bedrocks_own_api_share_a_renewal(kept: Kept) -> None:
    """They are refused at once, and asked again by the same rules as all others."""
    kept.aws.latency["GetRoleCredentials"] = 0.3
    headers = {"x-gateway-key": kept.daemon.ctl("key").stdout.strip()}
    body = {"anthropic_version": VERSION, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    path = "/bedrock/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke"
    kept.aws.kill_keys()
    kept.aws.forget_calls()
    with ThreadPoolExecutor(30) as pool:
        asked = [
            pool.submit(kept.stage.ask, json.dumps(body).encode(), path=path, token="", headers=headers)
            for _ in range(30)
        ]
        assert [future.result().status for future in asked] == [200] * 30
    assert kept.aws.count("GetRoleCredentials") <= 2


def test_the_portal_is_down_across_a_renewal(kept: Kept) -> None:
    with Load(kept) as load:
        kept.aws.wait_for("GetRoleCredentials")
        kept.aws.portal_down()
        load.lasts(4)
        kept.aws.up()
        load.lasts(3)
    print(load.summary("portal down for 4 s across a renewal"))
    assert load.bad == []


def test_a_slow_portal_stalls_no_stream(kept: Kept) -> None:
    """Five seconds for each answer of the portal: a stream that is open meanwhile has no gap."""
    kept.aws.lives.keys = 14
    kept.aws.lives.access_token = 3600
    kept.home.log_in()
    kept.aws.kill_keys()
    assert kept.ask().status == 200
    kept.aws.forget_calls()
    kept.aws.latency["GetRoleCredentials"] = 5.0
    seen: list[float] = []
    stream = threading.Thread(target=lambda: seen.extend(gaps(kept.daemon.port, kept.stage.token, "[[slow 130 0.1]]")))
    stream.start()
    with Load(kept) as load:
        kept.aws.wait_for("GetRoleCredentials")
        load.lasts(5.5)
    stream.join()
    assert kept.aws.count("GetRoleCredentials") == 1
    print(load.summary(f"portal of 5 s; beside it a stream of {sum(seen):.0f} s, longest gap {max(seen):.2f} s"))
    assert load.bad == []
    assert load.slowest < 4
    assert sum(seen) > 12
    assert max(seen) < 1


def gaps(port: int, token: str, prompt: str) -> list[float]:
    """Return the seconds between what a client reads of a stream."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "authorization": f"Bearer {token}",
    }
    connection.request("POST", "/v1/messages", turn(prompt), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    times = [time.monotonic()]
    body = b""
    while data := answer.read1():
        times.append(time.monotonic())
        body += data
    connection.close()
    assert b"event: message_stop" in body
    return [after - before for before, after in itertools.pairwise(times)]


def test_a_clock_that_is_ten_minutes_off(kept: Kept) -> None:
    kept.aws.state.clock_offset = 600.0
    kept.bedrock.clock_offset = timedelta(seconds=600)
    try:
        kept.aws.kill_keys()
        reply = kept.ask()
        assert reply.status == 529
        assert "this machine's clock is 10 min behind AWS's" in reply.error
        assert "Run: sudo timedatectl set-ntp true" in reply.error or "sntp" in reply.error
        assert reply.headers["x-should-retry"] == "false"
        credentials = kept.wait_state("down")
        assert "clock" in credentials["why"]
        health = kept.daemon.ctl("health")
        assert health.returncode == 1
        assert "clock" in health.stdout
        assert "login" not in health.stdout
        calls = kept.aws.count("GetRoleCredentials")
        time.sleep(2)
        assert kept.aws.count("GetRoleCredentials") - calls <= 4  # no storm of keys that look as if they had ended
    finally:
        kept.aws.state.clock_offset = 0.0
        kept.bedrock.clock_offset = timedelta()
    kept.wait_state("ok")
    assert kept.ask().status == 200


def test_a_process_that_was_suspended(kept: Kept) -> None:
    """SIGSTOP until the keys are over: the first request after SIGCONT has new ones.

    Of all processes, as when a machine sleeps: for a worker that is silent alone another one stands in.
    """
    (worker,) = kept.daemon.workers()
    for pid in (kept.daemon.pid, worker):
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(KEYS_LIVE + 0.5)
        assert all(kept.aws.keys[key].state != "live" for key in kept.aws.keys)
    finally:
        for pid in (worker, kept.daemon.pid):
            os.kill(pid, signal.SIGCONT)
    refused = len([request for request in kept.bedrock.requests if request.status == 403])
    assert kept.ask().status == 200
    assert len([request for request in kept.bedrock.requests if request.status == 403]) == refused
    assert kept.daemon.workers() == [worker]


def test_the_session_is_over_and_somebody_logs_in(kept: Kept) -> None:
    """Bedrock works until the keys end; then the error names the command; then a login mends it, and nothing else."""
    (worker,) = kept.daemon.workers()
    kept.aws.revoke_session()
    credentials = kept.wait_state("login-needed", "down")
    assert credentials["hint"] == "claude-gatewayctl sso-login"
    worked = 0
    # In their last second AWS may say that they have ended, a moment before our clock does.
    while (reply := kept.ask()).status == 200 or b"ExpiredTokenException" in reply.body:
        worked += reply.status == 200
    assert reply.status == 529
    assert reply.error.endswith("the login of profile x has ended. Run: claude-gatewayctl sso-login")
    assert reply.headers["x-should-retry"] == "false"
    assert kept.daemon.ctl("health").returncode == 1
    shown = kept.daemon.ctl("credentials")
    assert shown.returncode == 1
    assert "claude-gatewayctl sso-login" in shown.stdout
    refreshes = kept.aws.count("CreateToken")
    for _ in range(5):
        assert kept.ask().status == 529
    assert kept.aws.count("CreateToken") == refreshes
    kept.home.log_in()
    begun = time.monotonic()
    assert kept.ask().status == 200
    print(f"session revoked: {worked} served until the keys ended; {time.monotonic() - begun:.2f} s after a login: 200")
    kept.wait_state("ok")
    assert kept.daemon.ctl("health").returncode == 0
    assert kept.daemon.workers() == [worker]


def test_torn_files_and_foreign_writers(kept: Kept) -> None:
    """Another program writes the login in its place again and again, and renews nothing, 500 times."""
    over = threading.Event()
    writes = 0

    def write() -> None:
        nonlocal writes
        while not over.wait(0.002):
            try:
                text = kept.home.token_file().read_text()
                json.loads(text)
            except ValueError:
                continue
            kept.home.token_file().write_text(text[: len(text) // 2])
            kept.home.token_file().write_text(text)
            writes += 1

    writer = threading.Thread(target=write)
    writer.start()
    with Load(kept) as load:
        load.lasts(5)
        wait_until(lambda: writes > 500)
        over.set()
        writer.join()
    print(load.summary(f"{writes} writes in place"))
    assert load.bad == []


def test_a_role_chain(kept: Kept) -> None:
    """The configuration changes to a role on top of the login: noticed without a restart, and kept like the rest."""
    before = kept.home.config.read_text()
    chained = before.replace("[profile x]", "[profile base]")
    kept.home.config.write_text(chained)
    kept.home.chain_profile("x", "base")
    try:
        wait_until(lambda: kept.credentials()["kind"] == "role-chain")
        with Load(kept) as load:
            load.lasts(6)
        print(load.summary("a role chain"))
        assert load.bad == []
        assert kept.aws.count("AssumeRole") >= 2
        credentials = kept.credentials()
        assert (credentials["account"], credentials["role"]) == (ACCOUNT, "Chained")
    finally:
        kept.home.config.write_text(before)
    wait_until(lambda: kept.credentials()["kind"] == "sso")


def test_two_daemons_and_a_foreign_writer(kept: Kept) -> None:
    """Another daemon, which is reloaded, and a program like the AWS CLI share the login. None loses it to another.

    The CLI takes no lock, and writes in place. AWS takes each refresh token once.
    """
    environ = {name: value for name, value in kept.daemon.environ.items() if name.startswith("AWS_")}
    config = CONFIG + '[litellm]\nload = "lazy"\n'
    other = Daemon(upstream=kept.stage.anthropic.url, config=config, environ=environ)
    (other.home / ".aws").symlink_to(kept.home.path / ".aws")
    over = threading.Event()
    writes: list[bool] = []
    writer = threading.Thread(target=lambda: writes.extend(be_the_cli(kept, over)))
    log = len(kept.daemon.log)
    kept.aws.lives.access_token = _SHORT
    kept.home.log_in()
    kept.aws.latency["CreateToken"] = 0.3  # so that they meet
    with other:
        writer.start()
        with Load(kept) as load:
            for _ in range(3):
                load.lasts(2)
                assert other.ctl("reload").returncode == 0
            load.lasts(2)
            over.set()
            writer.join()
        credentials = json.loads(other.ctl("credentials", "--json").stdout)
        logs = kept.daemon.log[log:] + other.log
    print(load.summary(f"two daemons, three reloads, a CLI that renewed {sum(writes)} of {len(writes)} times"))
    assert load.bad == []
    renewed = logs.count("is renewed")
    print(f"CreateToken: {renewed} by the daemons, {sum(writes)} by the CLI, {kept.aws.count('CreateToken')} asked for")
    assert sum(writes) + renewed >= 2
    assert kept.aws.count("CreateToken") > sum(writes) + renewed  # somebody came second, and nobody minded
    assert credentials["state"] == kept.credentials()["state"] == "ok"
    assert "login-needed" not in logs
    assert "credentials of profile x: down" not in logs


def be_the_cli(kept: Kept, over: threading.Event) -> list[bool]:
    """Renew the login whenever it has been used for half of its life; return how that went, time after time."""
    found: list[bool] = []
    while not over.wait(0.2):
        try:
            token = kept.home.token()
        except ValueError:
            continue  # it crashes, and is called again
        ends = datetime.fromisoformat(token["expiresAt"]).timestamp()
        if ends - time.time() > _SHORT / 2 + (-0.7 if len(found) % 2 else 0.1):  # before the daemons, and after them
            continue
        asked = {"grantType": "refresh_token"} | {n: token[n] for n in ("clientId", "clientSecret", "refreshToken")}
        connection = http.client.HTTPConnection("127.0.0.1", kept.aws.ports["oidc"], timeout=60)
        connection.request("POST", "/token", json.dumps(asked), {"content-type": "application/x-amz-json-1.1"})
        answer = connection.getresponse()
        new = json.loads(answer.read())
        connection.close()
        found.append(answer.status == 200)
        if answer.status == 200:
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + new["expiresIn"]))
            kept.home.write_token({**token, **{n: new[n] for n in ("accessToken", "refreshToken")}, "expiresAt": until})
    return found
