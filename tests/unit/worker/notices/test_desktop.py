"""How a notice reaches a person: programs of the desktop, and their own command."""

import asyncio
import html
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from claude_gatewayd.worker.notices import command, desktop, run_command
from claude_gatewayd.worker.notices.notice import Event, Notice
from tests.fakes.programs import Programs
from tests.support.daemon import wait_until
from tests.unit.worker.notices.bus import NotificationService

UGLY = "a <b> & \"c\" 'd' $HOME `id` \\n %s é\tend"
NOTICE = Notice("login-needed", "Bedrock works until 14:10", UGLY, "claude-gatewayctl sso-login", until=1_764_079_800.4)
SECRETS = dict.fromkeys((
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK",
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "GITHUB_TOKEN", "DATABASE_URL",
    "LITELLM_MASTER_KEY", "LISTEN_FDS", "NOTIFY_SOCKET",
), "canary-secret")  # fmt: skip


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.fixture
def environ(programs: Programs) -> dict[str, str]:
    """Return the environment of somebody with a desktop."""
    return {
        "PATH": str(programs.path),
        "HOME": "/home/me",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    } | SECRETS


def show(environ: dict[str, str], notice: Notice = NOTICE) -> str:
    return asyncio.run(desktop.show(notice, environ))


# the desktop

linux = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has osascript")


@linux
def test_notify_send_goes_first(programs: Programs, environ: dict[str, str]) -> None:
    programs.install("notify-send")
    programs.install("gdbus")
    assert show(environ) == ""
    ((argv, seen, leads, stdin),) = programs.calls
    assert argv[1:] == [
        "--app-name=claude-gateway", "--icon=dialog-warning", "--urgency=critical", "--", NOTICE.title,
        'a &lt;b&gt; &amp; "c" \'d\' $HOME `id` \\\\n %s é\tend\nclaude-gatewayctl sso-login',
    ]  # fmt: skip
    assert (leads, stdin) == (True, "")
    assert seen["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/nonexistent"
    assert not seen.keys() & SECRETS.keys()


@linux
@pytest.mark.parametrize("then", ["sys.exit(1)", "os.kill(os.getpid(), 9)"])
def test_gdbus_where_notify_send_fails(programs: Programs, environ: dict[str, str], then: str) -> None:
    programs.install("notify-send", then)
    programs.install("gdbus")
    assert show(environ) == ""
    assert [Path(argv[0]).name for argv, *_ in programs.calls] == ["notify-send", "gdbus"]


@linux
def test_why_nothing_is_shown(
    programs: Programs, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop, "_TIMEOUT", 0.5)
    assert show(environ) == "neither notify-send nor gdbus is installed"
    programs.install("notify-send", "sys.exit(3)")
    assert show(environ) == "notify-send: it ended with status 3"
    programs.install("gdbus", "time.sleep(60)")
    begun = time.monotonic()
    assert show(environ) == "gdbus: it was not done in 0.5 s and was ended"
    assert time.monotonic() - begun < 30
    (programs.path / "gdbus").write_text("no program")
    assert show(environ).startswith("gdbus: it cannot be run: ")


@linux
def test_a_server_has_no_desktop(programs: Programs, environ: dict[str, str], tmp_path: Path) -> None:
    programs.install("notify-send")
    del environ["DBUS_SESSION_BUS_ADDRESS"]
    assert show(environ) == ""
    assert programs.calls == []
    (tmp_path / "bus").touch()  # where systemd's user bus is, of which a unit may not be told
    assert show(environ | {"XDG_RUNTIME_DIR": str(tmp_path)}) == ""
    assert len(programs.calls) == 1


def test_osascript_gets_the_texts_as_arguments(
    programs: Programs, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert show(environ) == "osascript is not installed"
    programs.install("osascript")
    assert show(environ) == ""
    ((argv, *_),) = programs.calls
    assert argv[1::2][:3] == ["-e", "-e", "-e"]
    assert argv[2:7:2] == [
        "on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run",
    ]  # fmt: skip
    assert argv[7:] == [NOTICE.title, f"{UGLY}\nclaude-gatewayctl sso-login"]


def test_terminal_notifier_goes_first_on_a_mac(
    programs: Programs, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What osascript shows is Script Editor's, which few have allowed to show anything."""
    monkeypatch.setattr(sys, "platform", "darwin")
    programs.install("osascript")
    programs.install("terminal-notifier")
    assert show(environ) == ""
    ((argv, *_),) = programs.calls
    assert argv[0].endswith("terminal-notifier")
    assert argv[1:] == [
        *("-group", "claude-gateway", "-title", NOTICE.title, "-message", f"{UGLY}\nclaude-gatewayctl sso-login"),
    ]
    programs.forget()
    programs.install("terminal-notifier", "sys.exit(1)")
    assert show(environ) == ""
    assert [argv[0].rpartition("/")[2] for argv, *_ in programs.calls] == ["terminal-notifier", "osascript"]


BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy>
</busconfig>
"""


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Path]:
    """Return the socket of a session bus of our own."""
    for program in ("dbus-daemon", "gdbus"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    config, path = tmp_path / "bus.conf", tmp_path / "bus"
    config.write_text(BUS_CONFIG.format(path=path))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline()  # it listens
        yield path
    finally:
        daemon.terminate()
        daemon.communicate(timeout=10)


@linux
def test_through_a_real_bus_by_the_real_gdbus(bus: Path, tmp_path: Path) -> None:
    """Whatever a text looks like, it arrives as it is: gdbus reads its arguments as GVariants."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "gdbus").symlink_to(shutil.which("gdbus") or "")
    environ = {"PATH": str(programs), "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}"}
    assert show(environ) == "gdbus: it ended with status 1"  # a bus, and nobody who shows anything
    service = NotificationService(str(bus))
    try:
        assert show(environ) == ""
        for text in (
            '"',
            "'",
            "\\",
            "\\n",
            "@as []",
            "true",
            "-1",
            "<1>",
            "--help",
            "uint32 7",
            "\x01 \n \t é 𝄞 \u2028",
        ):
            assert show(environ, NOTICE._replace(title=text, message=text, hint="", is_urgent=False)) == ""
            app, replaces, icon, title, body, actions, hints, expires = service.notified[-1]
            assert (title, html.unescape(body)) == (text, text)
        assert (app, replaces, icon, actions, hints, expires) == (
            "claude-gateway", 0, "dialog-information", [], [("urgency", 1)], -1,
        )  # fmt: skip
        assert service.notified[0][3:5] == [
            NOTICE.title, f"{html.escape(UGLY, quote=False)}\nclaude-gatewayctl sso-login",
        ]  # fmt: skip
        assert service.notified[0][6] == [("urgency", 2)]
    finally:
        service.close()


@linux
def test_a_service_that_refuses(bus: Path, tmp_path: Path) -> None:
    service = NotificationService(str(bus), refuse=True)
    try:
        environ = {"PATH": os.environ["PATH"], "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}"}
        assert show(environ) == "gdbus: it ended with status 1"
    finally:
        service.close()


# the person's own command


def run(line: str, notice: Notice = NOTICE) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C", "TERM": "x"} | SECRETS
    return asyncio.run(command.run(line, notice, environ))


def test_what_there_is_to_tell_is_in_the_environment(tmp_path: Path) -> None:
    assert run(f"env -0 > {tmp_path}/env; pwd > {tmp_path}/pwd; cat > {tmp_path}/stdin") == ""
    seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().split("\0") if line)
    ours = {name: seen.pop(name) for name in list(seen) if name.startswith("CLAUDE_GATEWAY_")}
    assert ours == {
        "CLAUDE_GATEWAY_EVENT": "login-needed",
        "CLAUDE_GATEWAY_TITLE": "Bedrock works until 14:10",
        "CLAUDE_GATEWAY_MESSAGE": UGLY,
        "CLAUDE_GATEWAY_HINT": "claude-gatewayctl sso-login",
        "CLAUDE_GATEWAY_SINCE": "",
        "CLAUDE_GATEWAY_UNTIL": "1764079800",
        "CLAUDE_GATEWAY_URGENT": "yes",
    }
    assert seen.keys() - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "LC_ALL"}
    assert (tmp_path / "pwd").read_text() == "/\n"
    assert (tmp_path / "stdin").read_text() == ""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("exit 3", "it ended with status 3"),
        ("kill -TERM $$", "signal 15 ended it"),
        ("/nonexistent/program 2>/dev/null", "it ended with status 127"),
        ("(", "it ended with status 2"),
        ("exit 0", ""),
    ],
)
def test_a_command_that_fails(line: str, why: str) -> None:
    assert run(line) == why


def test_what_it_says_is_in_our_log(capfd: pytest.CaptureFixture[str]) -> None:
    run("echo thrown away; echo said >&2")
    assert capfd.readouterr() == ("", "said\n")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_TIMEOUT", 0.5)
    line = f"trap '' TERM; sleep 60 & echo $! $$ > {tmp_path}/pids; wait"
    assert run(line) == "it was not done in 0.5 s and was ended"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    wait_until(lambda: not any(map(is_alive, pids)))


def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    assert run(f"sleep 60 & echo $! > {tmp_path}/pid") == ""
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_alive(pid))


def test_a_command_of_a_daemon_that_ends(tmp_path: Path) -> None:
    async def cancelled() -> None:
        argv = ["/bin/sh", "-c", f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 60"]
        running = asyncio.create_task(run_command.run(argv, {}, 60.0, log_stderr=False))
        while not (tmp_path / "pid").exists():  # noqa: ASYNC110  no event crosses to another process
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait((running,))

    asyncio.run(cancelled())
    assert not is_alive(int((tmp_path / "pid").read_text()))


# what is written about it


def test_the_examples_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of docs/notifications.md, as the configuration reads them, with `curl` and `mail` played."""
    text = (Path(__file__).parents[4] / "docs" / "notifications.md").read_text()
    phone, listing, mail = (
        tomllib.loads(f)["notify"]["command"] for f in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    )
    programs = Programs(tmp_path)
    for name in ("curl", "mail"):
        programs.install(name)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    calm = NOTICE._replace(event="anthropic-back", title="Anthropic is back", is_urgent=False)
    for line in (phone, listing, mail):
        assert run(line) == ""
        assert run(line, calm) == ""
    calls = programs.calls
    assert [Path(argv[0]).name for argv, *_ in calls] == ["curl", "curl", "mail"]
    assert calls[0][0][2:6] == [
        "-H", "Title: Bedrock works until 14:10", "-d", f"{UGLY} claude-gatewayctl sso-login",
    ]  # fmt: skip
    assert calls[2][0][1:] == ["-s", "Bedrock works until 14:10", "me"]
    assert calls[2][3] == f"{UGLY}\nclaude-gatewayctl sso-login\n"
    lines = (tmp_path / "claude-gateway.events").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        "login-needed: Bedrock works until 14:10",
        "anthropic-back: Anthropic is back",
    ]


def test_every_event_and_variable_is_written_about() -> None:
    text = (Path(__file__).parents[4] / "docs" / "notifications.md").read_text()
    for word in (*get_args(Event), *command.variables(NOTICE)):
        assert f"`{word}`" in text, word
