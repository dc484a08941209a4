"""`sso-login` in a terminal: what moves there, Ctrl-C, and the browser that it asks for."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from claude_gatewayd.ctl.aws.browser import BrowserLaunch, open_page
from claude_gatewayd.paths import control_socket
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.support.daemon import BIN, Daemon
from tests.support.scripts import install_python
from tests.support.terminal import Terminal

CTL = str(BIN / "claude-gatewayctl")


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as aws:
        aws.state.device_polls = 0
        yield aws


@pytest.fixture
def daemon(aws: FakeAws) -> Iterator[Daemon]:
    """Yield a person's directories; nothing runs in them."""
    daemon = Daemon(environ={**aws.environ, "BROWSER": "true"})
    home = AwsHome(daemon.home, aws)
    home.sso_session()
    home.sso_profile("Sandbox.AdministratorAccess")
    yield daemon
    daemon.close()


def test_ctrl_c_on_a_terminal(aws: FakeAws, daemon: Daemon) -> None:
    """It says how long it waits, on one line; it ends at once, with 130, and leaves nothing behind."""
    aws.user("ignores")
    with Terminal([CTL, "sso-login"], daemon.environ, cwd=daemon.home) as terminal:
        terminal.until("Ctrl-C gives up")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end(10) == 130
    text = terminal.shown.replace("\r\n", "\n")
    assert "The browser opens for the login; if it does not, go to\n\n  http://127.0.0.1:" in text
    assert "\r\x1b[KWaiting for you in the browser, 10 min more (Ctrl-C gives up) \r\x1b[KGiven up: nothing" in text
    assert os.listdir(daemon.home / ".aws" / "sso" / "cache") == []


def test_ctrl_c_behind_a_pipe(aws: FakeAws, daemon: Daemon) -> None:
    aws.user("ignores")
    process = subprocess.Popen(
        [CTL, "sso-login", "--device-code"],
        env=daemon.environ, cwd=daemon.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    aws.wait_for("CreateToken", 1, 30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "HERN-0001" in out
    assert err == "Given up: nothing was changed\n"


def test_a_code_stands_out_on_a_terminal(daemon: Daemon) -> None:
    with Terminal([CTL, "sso-login", "--device-code"], daemon.environ, cwd=daemon.home) as terminal:
        shown = terminal.until("Logged in: ")
        assert terminal.end(10) == 0
    assert "  |    \x1b[1mHERN-0001\x1b[0m    |\r\n" in shown


def test_a_browser_that_does_not_open(aws: FakeAws, daemon: Daemon) -> None:
    """The address is there all the same."""
    daemon.environ["BROWSER"] = "false"
    process = subprocess.Popen(
        [CTL, "sso-login"],
        env=daemon.environ, cwd=daemon.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "false could not open it: open the address yourself\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert "/authorize?" in out


class Running:
    """A daemon as far as its control socket goes: it has a status, and notes what it is asked."""

    def __init__(self, daemon: Daemon, bedrock: dict[str, Any], credentials: dict[str, Any] | None) -> None:
        self.asked: list[str] = []
        self._status = {"bedrock": bedrock, "credentials": credentials}
        path = control_socket(daemon.environ)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self.asked.append(json.loads(stream.readline())["command"])
                result = self._status if self.asked[-1] == "status" else {}
                stream.write(json.dumps({"result": result}).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


ON = {"enabled": True, "why": "", "source": "profile Sandbox.AdministratorAccess"}
TAKES = "The running daemon uses this login from now on\n"


@pytest.mark.parametrize(
    ("bedrock", "kind", "out", "err"),
    [
        (ON, "sso", TAKES, ""),
        (ON, "role-chain", TAKES, ""),
        (
            {"enabled": False, "why": "there is no profile", "source": ""}, None, "",
            "But Bedrock is off in the running daemon: there is no profile\n  claude-gatewayctl reload\n",
        ),
        (
            {**ON, "source": "keys of the environment"}, "temporary", "",
            "But the running daemon uses keys of the environment, and no login\n",
        ),
    ],
)  # fmt: skip
def test_the_daemon_that_runs_is_told(
    daemon: Daemon, bedrock: dict[str, Any], kind: str | None, out: str, err: str
) -> None:
    """It is the running daemon's profile that is meant, whatever the environment of this shell says."""
    daemon.environ["AWS_PROFILE"] = "of-this-shell"
    profile = "" if kind == "temporary" else "Sandbox.AdministratorAccess"
    if not profile or kind is None:
        del daemon.environ["AWS_PROFILE"]
        daemon.environ["CLAUDE_GATEWAY_BEDROCK_PROFILE"] = "Sandbox.AdministratorAccess"
    with Running(daemon, bedrock, None if kind is None else {"kind": kind, "profile": profile}) as running:
        done = daemon.ctl("sso-login", "--device-code")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"it is renewed until AWS ends the session\n{out}")
    assert done.stderr == err
    assert running.asked == ["status", "status", *(["look-at-login"] if out else [])]


def test_logging_out_is_told_too(daemon: Daemon) -> None:
    assert daemon.ctl("sso-login", "--device-code", "--profile", "Sandbox.AdministratorAccess").returncode == 0
    with Running(daemon, ON, {"kind": "sso", "profile": "Sandbox.AdministratorAccess"}) as running:
        assert daemon.ctl("sso-logout").returncode == 0
    assert running.asked == ["status", "look-at-login"]


# -- opening a page


def script(directory: Path, name: str, status: int = 0) -> str:
    file = directory / name
    file.write_text(f'#!/bin/sh\necho "$0 $*" > {directory}/asked\nexit {status}\n')
    file.chmod(0o700)
    return str(file)


def opened(opening: BrowserLaunch | None) -> bool:
    """Wait for what was asked to open a page; say whether it did."""
    assert opening is not None
    opening._process.wait(10)
    return not opening.has_failed()


@pytest.mark.parametrize(
    ("browser", "platform", "asked"),
    [
        ("", "linux", "xdg-open URL"),
        ("", "darwin", "open URL"),
        ("", "freebsd14", "xdg-open URL"),
        ("mine --new", "linux", "mine --new URL"),
        ("mine --at=%s --now", "linux", "mine --at=URL --now"),
        ("absent:mine", "linux", "mine URL"),
        ("absent", "linux", "xdg-open URL"),
        ("'unbalanced", "linux", "xdg-open URL"),
    ],
)
def test_which_program_is_asked(tmp_path: Path, browser: str, platform: str, asked: str) -> None:
    for name in ("xdg-open", "open", "mine"):
        script(tmp_path, name)
    assert opened(open_page("URL", {"PATH": str(tmp_path), "BROWSER": browser}, platform))
    assert (tmp_path / "asked").read_text().strip() == f"{tmp_path}/{asked}"


def test_no_program_is_there(tmp_path: Path) -> None:
    assert open_page("URL", {"PATH": str(tmp_path)}, "linux") is None


def test_a_program_that_fails(tmp_path: Path) -> None:
    script(tmp_path, "xdg-open", 3)
    assert not opened(open_page("URL", {"PATH": str(tmp_path)}, "linux"))


def test_a_browser_is_not_ours_to_end(tmp_path: Path) -> None:
    """It is in a session of its own, so that Ctrl-C in the terminal is not for it, and it holds nothing of ours."""
    program = tmp_path / "browser"
    install_python(
        program,
        "import os, pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'told')!r}).write_text(f'{{os.getsid(0)}} {{sys.stdin.read()!r}}')\n",
    )
    assert opened(open_page("URL", {"PATH": str(tmp_path), "BROWSER": "browser"}))
    session, read = (tmp_path / "told").read_text().split()
    assert int(session) != os.getsid(0)
    assert read == "''"
