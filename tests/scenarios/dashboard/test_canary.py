"""No secret is in any answer below /gateway/: not of the configuration, not of a caller, not of the environment."""

import json
import time

from claude_gatewayd import paths
from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import message, post
from tests.support.canary import CANARY, PASSWORD, holds, written
from tests.support.daemon import Daemon
from tests.support.pages import Browser

KEY = f"cgw-{CANARY}-gateway-0000000000000000000"
CONFIG = f"""
[anthropic]
proxy = "http://user:{PASSWORD.replace("/", "%2F").replace("@", "%40")}@127.0.0.1:9"

[ledger]
url = "postgresql://me:{CANARY}@127.0.0.1:9/ledger"

[notify]
command = "curl -H 'authorization: {CANARY}' http://127.0.0.1:9/"

[log]
level = "debug"
"""
ENVIRON = {
    "AWS_ACCESS_KEY_ID": f"AKIA{CANARY}",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-secret",
    "AWS_SESSION_TOKEN": f"{CANARY}-token",
    "ANTHROPIC_API_KEY": f"sk-ant-api03-{CANARY}",
    "HTTPS_PROXY": f"http://me:{CANARY}@127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}
PATHS = (
    "/gateway",
    "/gateway/",
    "/gateway/open?link=x",
    "/gateway/history?days=1&zone=UTC",
    "/gateway/history?days=30&zone=Europe/Berlin",
    "/gateway/configuration",
    "/gateway/findings",
    "/gateway/nothing",
)


def test_no_answer_has_a_secret(upstream: FakeAnthropic) -> None:
    daemon = Daemon(upstream=upstream.url, config=CONFIG, environ=ENVIRON)
    key = paths.gateway_key_file(daemon.environ)
    key.parent.mkdir(parents=True, mode=0o700)
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    with daemon:
        secret = {"authorization": f"Bearer sk-ant-oat01-{CANARY}", "x-api-key": CANARY, "x-gateway-key": KEY}
        post(daemon.port, message(f"my password is {PASSWORD}"), secret)
        browser = Browser.of(daemon)
        assert not holds(browser.cookie.encode()), "the cookie is made of the key, and does not show it"
        with browser.live() as live:
            seen = [("live", json.dumps(data).encode()) for data in live.first("status", "requests")]
        for path in PATHS:
            for who in (browser, Browser(daemon)):
                answer = who.get(path, Authorization=f"Bearer {CANARY}", X_Api_Key=CANARY)
                seen.append((path, repr(answer.lines).encode() + answer.body))
        deadline = time.monotonic() + 60
        while b'"running"' in seen[-1][1] and time.monotonic() < deadline:
            seen.append(("findings", browser.get("/gateway/findings").body))
        for action in ("check-credentials", "reload", "log-in", "nonsense"):
            answer = browser.do(action)
            seen.append((action, repr(answer.lines).encode() + answer.body))
        for where, data in seen:
            assert not holds(data), f"{where}: {data[:3000]!r}"
        assert len(seen) > 20
        for file, data in written(daemon.home):
            assert file in (key, daemon.config_file) or not holds(data), file
