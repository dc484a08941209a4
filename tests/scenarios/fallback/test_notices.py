"""A whole daemon tells a person who serves: each once, by every way, over a hand-over."""

import json
import os
import time
from pathlib import Path

import pytest

from claude_gatewayd.system.clock_time import clock_time
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.programs import Programs
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import LOADED_WITHIN, Stage, Through, asking, by_each_transport

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.uname().sysname == "Darwin", reason="notify-send is played, which a Mac does not use"),
]

CONFIG = """
[router]
num_retries = 0
allowed_fails = 100

[notify]
command = 'env -0 >> "$HOME/told"; printf "\\n" >> "$HOME/told"'
"""


@by_each_transport
def test_who_serves_is_told_once_each(tmp_path: Path, through: Through) -> None:
    desktop = Programs(tmp_path)
    desktop.install("notify-send")
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        secret = bedrock.key.secret
        session = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
            "CLAUDE_GATEWAY_NOTIFY_ENABLED": "true",
            "GITHUB_TOKEN": "canary-secret",
        }
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=asking(bedrock, through) | session) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            told = daemon.home / "told"

            def events() -> list[str]:
                lines = told.read_bytes().split(b"\n")[:-1] if told.exists() else []
                return [dict(v.split("=", 1) for v in line.decode().split("\0") if v)["CLAUDE_GATEWAY_EVENT"]
                        for line in lines]  # fmt: skip

            def notices() -> list[str]:
                return [notice["event"] for notice in daemon.status()["notices"]]

            stage.wait_asking(through)
            stage.prove()
            assert notices() == []

            stage.anthropic_is_down()
            assert stage.ask().headers["x-gateway-upstream"] == "bedrock"
            wait_until(lambda: events() == ["bedrock-serves"], describe=daemon.describe)
            (before,) = daemon.status()["notices"]
            assert (before["event"], before["message"]) == ("bedrock-serves", "Anthropic answers 529")
            assert f"  notice       {before['title']}, for " in daemon.ctl("status").stdout
            line = json.loads(daemon.ctl("statusline", "--json").stdout)
            since = clock_time(before["since"], time.time())
            serving, _, cost = line["text"].partition(" · ")
            assert (line["state"], serving) == ("warning", f"Bedrock since {since}: Anthropic answers 529")
            assert cost.endswith(" of it billed"), "what Bedrock has cost today"
            assert daemon.log.count(f"{before['title']}: Anthropic answers 529") == 1

            done = daemon.ctl("reload", timeout=LOADED_WITHIN)
            assert done.returncode == 0, done.stderr
            assert stage.ask().headers["x-gateway-upstream"] == "bedrock"
            wait_until(lambda: notices() == ["bedrock-serves"], describe=daemon.describe)
            assert daemon.status()["notices"][0]["since"] == before["since"]

            anthropic.clear_faults()
            assert stage.ask().headers["x-gateway-upstream"] == "anthropic"
            wait_until(lambda: notices() == [], describe=daemon.describe)
            wait_until(lambda: len(events()) > 1, describe=daemon.describe)

            limited = Stage(anthropic, bedrock, daemon)
            limited.prove()
            anthropic.limit_next()
            assert limited.ask().headers["x-gateway-upstream"] == "bedrock"
            wait_until(
                lambda: notices() == ["bedrock-serves"], describe=daemon.describe
            )  # and that it is not told so soon
            assert daemon.status()["notices"][0]["message"] == "a limit of your subscription is reached"

            stage.anthropic_is_down()
            bedrock.fail_next(503, times=100)
            assert stage.ask().status == 529
            wait_until(lambda: len(events()) > 2, describe=daemon.describe)
            assert events() == ["bedrock-serves", "anthropic-back", "nobody-serves"]
            wait_until(lambda: len(desktop.calls) == 3)
            first, second, third = (argv[5] for argv, *_ in desktop.calls)
            assert first == before["title"]
            assert second.startswith("Anthropic is back after ")
            assert third == "Neither Anthropic nor Bedrock answers"
            assert secret.encode() not in told.read_bytes()
            assert not {name for _, seen, *_ in desktop.calls for name in seen if name.startswith(("AWS_", "GITHUB_"))}
            assert "canary-secret" not in daemon.log + told.read_text()
            assert "failed" not in [line for line in daemon.log.splitlines() if "notif" in line]
        assert "Traceback" not in daemon.log
