"""How a daemon warns of a login that ends: once, on every channel, over a reload, and until somebody logs in."""

import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.paths import control_socket
from claude_gatewayd.system.clock_time import clock_time
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.programs import Programs
from tests.fakes.systemd import Manager
from tests.support.daemon import Daemon, wait_until
from tests.support.stopwatch import Stopwatch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.uname().sysname == "Darwin", reason="notify-send is played, which a Mac does not use"),
]

CONFIG = """
[bedrock]
profile = "x"
[litellm]
load = "lazy"
[notify]
command = 'env -0 >> "$HOME/notices"; echo >> "$HOME/notices"'
"""
LOGIN_COMMAND = "claude-gatewayctl sso-login"


@dataclass
class Scene:
    """A daemon that a service manager has started, for somebody with a desktop and a command of their own."""

    aws: FakeAws
    home: AwsHome
    daemon: Daemon
    manager: Manager
    desktop: Programs
    log_before: int = 0
    heard_before: int = 0

    def begin(self) -> None:
        """Forget all notices; those of the daemon count from here."""
        self._notices.unlink(missing_ok=True)
        self.desktop.forget()
        self.log_before, self.heard_before = len(self.daemon.log), len(self.manager.heard)

    @property
    def _notices(self) -> Path:
        return self.daemon.home / "notices"

    def by_command(self) -> list[dict[str, str]]:
        """Return what the person's command was run with."""
        lines = self._notices.read_bytes().split(b"\n")[:-1] if self._notices.exists() else []
        return [dict(v.split("=", 1) for v in line.decode().split("\0") if v) for line in lines]

    def standing(self) -> list[dict[str, Any]]:
        """Return the notices of `status`."""
        found: list[dict[str, Any]] = self.daemon.status()["notices"]
        return found

    def systemd_statuses(self, text: str) -> list[str]:
        """Return each STATUS= that says *text*."""
        statuses = [message["STATUS"] for message in self.manager.heard[self.heard_before :] if "STATUS" in message]
        return [status for status in statuses if text in status]

    def nudge(self) -> None:
        """Let the daemon look at the login now: it would within five seconds."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(control_socket(self.daemon.environ)))
            control.sendall(b'{"command": "look-at-login"}\n')
            assert control.recv(100) == b'{"result":{}}\n'

    def wait_for_notice(self) -> dict[str, str]:
        """Wait until the person's command has run, and `status` shows it; return the notice."""
        wait_until(self.by_command, describe=self.daemon.describe)
        wait_until(self.standing, describe=self.daemon.describe)
        return self.by_command()[0]

    def reload(self) -> None:
        """Reload, and wait until the new generation has looked, and shows what stands as the older one did."""
        (before,) = self.standing()
        assert self.daemon.ctl("reload").returncode == 0
        wait_until(self.standing, describe=self.daemon.describe)
        assert self.standing() == [before]

    def assert_noticed_once(self, notice: dict[str, str]) -> None:
        """Each channel has shown it, and none twice."""
        line = f"{notice['CLAUDE_GATEWAY_TITLE']}: run {LOGIN_COMMAND} ({notice['CLAUDE_GATEWAY_MESSAGE']})"
        log = self.daemon.log[self.log_before :]
        assert log.count(line) == 1, log
        assert log.count(LOGIN_COMMAND) == 1, log  # nor in other words
        assert [one["CLAUDE_GATEWAY_EVENT"] for one in self.by_command()] == [notice["CLAUDE_GATEWAY_EVENT"]]
        assert [argv[-2:] for argv, *_ in self.desktop.calls] == [
            [notice["CLAUDE_GATEWAY_TITLE"], f"{notice['CLAUDE_GATEWAY_MESSAGE']}\n{LOGIN_COMMAND}"]
        ]

    def log_in(self) -> None:
        """Log in: the daemon takes it up at once, and nothing stands any more."""
        self.aws.lives.access_token = self.aws.lives.keys = 3600
        done = self.daemon.ctl("sso-login", "--device-code")
        assert done.stdout.endswith("\nThe running daemon uses this login from now on\n"), done
        with Stopwatch() as watch:
            wait_until(lambda: self.daemon.status()["credentials"]["state"] == "ok", describe=self.daemon.describe)
        wait_until(lambda: self.standing() == [], describe=self.daemon.describe)
        assert watch.elapsed < 1.5 + watch.pace, watch  # it looks by itself every five seconds
        assert "notice" not in self.daemon.ctl("status").stdout


@pytest.fixture(scope="module")
def of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    desktop = Programs(tmp_path_factory.mktemp("desktop"))
    desktop.install("notify-send")
    with FakeAws() as aws, Manager() as manager:
        environ = {
            **aws.environ,
            **manager.environ,
            "PATH": f"{desktop.path}:{os.environ['PATH']}",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
            "CLAUDE_GATEWAY_NOTIFY_ENABLED": "true",
        }
        daemon = Daemon(config=CONFIG, environ=environ)
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile("x")
        aws.state.device_polls = 0
        with daemon:
            yield Scene(aws, home, daemon, manager, desktop)
            statuses = f"{daemon.log}{desktop.calls}{manager.heard}{(daemon.home / 'notices').read_text()}"
    assert "Traceback" not in statuses
    assert not [secret for secret in aws.secrets if secret in statuses]
    assert aws.violations == []


@pytest.fixture
def scene(of_all: Scene) -> Scene:
    """Return it with somebody logged in, and no notices."""
    of_all.log_in()
    wait_until(lambda: of_all.daemon.status()["credentials"]["keys_end"] is not None, describe=of_all.daemon.describe)
    of_all.begin()
    return of_all


def test_a_login_that_aws_renews_no_more(scene: Scene) -> None:
    works_until = scene.daemon.status()["credentials"]["keys_end"]
    scene.aws.lives.access_token = 300
    file = scene.home.log_in()
    scene.aws.revoke_session()
    os.utime(file, (time.time() - 3600, time.time() - 3600))  # of an hour ago: it is to be renewed now
    scene.nudge()
    notice = scene.wait_for_notice()
    assert notice["CLAUDE_GATEWAY_TITLE"] == f"Bedrock works until {clock_time(works_until, time.time())}"
    assert notice["CLAUDE_GATEWAY_HINT"] == LOGIN_COMMAND
    shown = scene.daemon.ctl("status").stdout
    assert re.search(rf"notice       {notice['CLAUDE_GATEWAY_TITLE']}, in \d+ min \d+ s: the login of profile x", shown)
    assert f"\n               {LOGIN_COMMAND}\n" in shown
    headline = f"{notice['CLAUDE_GATEWAY_TITLE']}: run {LOGIN_COMMAND}; "
    scene.manager.wait_for(lambda: scene.systemd_statuses(headline))
    assert scene.daemon.ctl("health").returncode == 0  # it works until then
    scene.reload()
    scene.assert_noticed_once(notice)
    scene.log_in()
    scene.assert_noticed_once(notice)


def test_a_login_that_nothing_renews(scene: Scene) -> None:
    scene.aws.lives.access_token = 280
    scene.home.write_token(scene.aws.log_in(scopes=()))
    ends = time.time() + 280
    scene.nudge()
    notice = scene.wait_for_notice()
    assert notice["CLAUDE_GATEWAY_EVENT"] == "credentials-end"
    assert abs(int(notice["CLAUDE_GATEWAY_UNTIL"]) - ends) < 5
    assert notice["CLAUDE_GATEWAY_TITLE"].startswith("The AWS login of profile x ends at ")
    assert notice["CLAUDE_GATEWAY_HINT"] == LOGIN_COMMAND
    shown = scene.daemon.ctl("status").stdout
    assert f"notice       {notice['CLAUDE_GATEWAY_TITLE']}, in 4 min " in shown
    scene.manager.wait_for(lambda: scene.systemd_statuses(f"{notice['CLAUDE_GATEWAY_TITLE']}: run {LOGIN_COMMAND}; "))
    scene.reload()
    scene.assert_noticed_once(notice)
    scene.log_in()
    scene.assert_noticed_once(notice)
