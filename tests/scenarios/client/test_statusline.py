"""The status line, in the real Claude Code at a terminal."""

import json
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.shapes import OAUTH_TOKEN
from tests.scenarios.client.claude import binary_of
from tests.scenarios.client.screen import Screen
from tests.scenarios.client.session import seen_before
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.client, pytest.mark.timeout(90)]

MINE = {"type": "command", "command": "echo mine", "padding": 0}


def test_claude_code_shows_it(version: str, home: Path) -> None:
    with FakeAnthropic() as fake, Daemon(upstream=fake.url, config="[router]\nnum_retries = 0\n") as daemon:
        fake.fail_next(529)
        assert post(daemon.port)[0] == 529
        wait_until(lambda: daemon.status()["anthropic"]["state"] == "failing")
        config, work = daemon.home / ".claude", home / "work"
        for directory in (config, work):
            directory.mkdir(parents=True)
        (config / "settings.json").write_text(json.dumps({"statusLine": MINE}))
        (config / ".claude.json").write_text(json.dumps(seen_before(work, version)))
        done = daemon.ctl("configure-claude", "--statusline")
        assert (done.returncode, done.stderr) == (0, "")
        environ = {
            **daemon.environ,
            "CLAUDE_CONFIG_DIR": str(config), "CLAUDE_CODE_OAUTH_TOKEN": OAUTH_TOKEN, "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "LANG": "C.UTF-8",
        }  # fmt: skip
        with Terminal([str(binary_of(version))], environ, columns=120, rows=40, cwd=work) as terminal:
            screen = Screen(120, 40)  # the client moves the cursor where others print a blank

            def is_shown() -> bool:
                screen.feed(terminal.take(0.05))
                return screen.shows("Anthropic answered 529")

            wait_until(is_shown, describe=lambda: screen.text)
        assert daemon.ctl("remove-claude").returncode == 0
        assert json.loads((config / "settings.json").read_text())["statusLine"] == MINE
