"""The script that the service manager starts: failed starts, and a program that cannot be started at all."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.service.inside import Inside, listens, status
from tests.scenarios.service.launchd import Mac
from tests.support.daemon import BIN, ROOT, wait_until

SCRIPT = ROOT / "packaging" / "claude-gatewayd.sh"
UNTIL_REFUSED = "while exec 3<>/dev/tcp/127.0.0.1/47000; do sleep 0.1; done 2>/dev/null"
REMOVED = "ln -sfn /opt/gone/python3.13 bin/python"
FIX = "To fix it: make install, in the checkout of claude-gatewayd"


def installation(directory: str) -> dict[str, str]:
    """Return the programs of an installation in *directory*, by name, as pip writes them."""
    python = f"{directory}/bin/python"
    head = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n" if " " in directory else f"#!{python}\n"
    modules = {"claude-gatewayd": "supervisor", "claude-gatewayctl": "ctl"}
    return {
        name: f"{head}import sys\nfrom claude_gatewayd.{module}.main import main\nsys.exit(main())\n"
        for name, module in modules.items()
    }


def errors_after_the_end(inside: Inside, first: dict[str, Any]) -> str:
    """Kill a daemon, whose status was *first*, where it cannot start again; return the errors in the log.

    Clients are refused soon, and do not hang.
    """
    workers = " ".join(str(one["pid"]) for one in first["generations"])
    inside.good(f"kill -KILL {first['pid']} {workers}")
    begun = time.monotonic()
    inside.good(UNTIL_REFUSED, 30)
    assert time.monotonic() - begun < 15
    return inside.good("journalctl --user --quiet --no-pager --output=cat --priority=err -t claude-gatewayd")


@pytest.mark.parametrize(
    ("directory", "goes", "why"),
    [
        ("venv", REMOVED, "its Python is no longer there (#!/run/home/venv/bin/python)"),
        ("my venv", REMOVED, "/run/home/my venv/bin/python: not found"),
        ("venv", "rm lib", "No module named 'claude_gatewayd'"),  # dist-upgrade: another Python is in its place
        ("venv", "rm -r bin", "it is no longer there"),
    ],
    ids=["removed", "removed-blank", "replaced", "unmounted"],
)  # fmt: skip
def test_a_python_that_vanishes(inside: Inside, directory: str, goes: str, why: str) -> None:
    """Homebrew and pyenv remove it, dist-upgrade replaces it, a disk is not there: clients are refused, not hung."""
    other = f"{Inside.home}/{directory}"
    for name, text in installation(other).items():
        inside.put(f"{other}/bin/{name}", text)
    python = shlex.quote(os.path.realpath(sys.executable))
    inside.good(
        f"cd '{other}' && chmod +x bin/* && cp '{BIN.parent}/pyvenv.cfg' . && ln -s '{BIN.parent}/lib' lib && "
        f"ln -s {python} bin/python"
    )
    inside.put(f"{Inside.home}/tools/notify-send", '#!/bin/sh\nprintf "%s\\n" "$@" >>~/notified\n')
    inside.good(f"chmod +x ~/tools/* && PATH=~/tools:$PATH '{other}/bin/claude-gatewayctl' install")
    first = status(inside)
    inside.good(f"cd '{other}' && {goes}")
    log = errors_after_the_end(inside, first)
    assert why in log
    assert FIX in log
    assert "remove ANTHROPIC_BASE_URL (in Bedrock mode CLAUDE_CODE_USE_BEDROCK) and x-gateway-key from" in log
    notified = inside.good("cat ~/notified")
    assert "The gateway for Claude Code cannot start\n" in notified
    assert FIX in notified
    inside.good("until systemctl --user is-failed claude-gatewayd.service; do sleep 0.1; done", 20)
    time.sleep(1.5)  # longer than until a restart
    assert not listens(inside), "it stays closed"
    assert inside.good("grep -c cannot.start ~/notified") == "1\n", "it is said once"
    # what mends it: this checkout's own installation, as `make install` would make one
    assert "could not be started, so the port is closed" in inside.run("claude-gatewayctl doctor").stdout
    assert "serving on" in inside.good("claude-gatewayctl install")
    assert listens(inside)


def test_a_start_script_that_vanishes(inside: Inside) -> None:
    """With all of ~/.local/share, or its disk: nothing of ours can run, and the service manager has the port."""
    inside.good("claude-gatewayctl install")
    first = status(inside)
    inside.good("mv ~/.local/share ~/elsewhere")
    log = errors_after_the_end(inside, first)
    assert f"cannot start {Inside.home}/.local/share/claude-gateway/claude-gatewayd.sh: it is no longer there" in log
    assert FIX in log
    inside.good("until ! systemctl --user is-active claude-gatewayd.service; do sleep 0.1; done", 20)
    assert not listens(inside), "it stays closed"
    assert "/bin/claude-gatewayd is not there any more" in inside.run("claude-gatewayctl status").stderr
    inside.good("mv ~/elsewhere ~/.local/share; claude-gatewayctl start")
    assert listens(inside)


def test_a_start_script_that_is_gone_for_a_moment(inside: Inside) -> None:
    """As while a disk is mounted: five seconds are waited for it."""
    inside.good("claude-gatewayctl install")
    first = status(inside)
    inside.good(f"mv ~/.local/share ~/elsewhere; kill -KILL {first['pid']}; sleep 1; mv ~/elsewhere ~/.local/share")
    inside.good("until claude-gatewayctl health; do sleep 0.2; done", 20)
    assert "closing the port" not in inside.journal()


def test_failed_starts_are_spaced(tmp_path: Path) -> None:
    """Measured with a program that fails, and a `sleep` that writes down how long it was to take."""
    (tmp_path / "program").write_text('#!/bin/sh\n[ "$1" = --version ] || exit 3\n')
    (tmp_path / "sleep").write_text(f'#!/bin/sh\necho $1 >>"{tmp_path}/slept"\n')
    script = tmp_path / "claude-gatewayd.sh"
    script.write_bytes(SCRIPT.read_bytes())
    for name in ("program", "sleep", "claude-gatewayd.sh"):
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    def start(*options: str) -> int:
        return subprocess.run([script, *options, tmp_path / "program"], env=environ, timeout=20, check=False).returncode

    assert [start("--wait") for _ in range(8)] == [3] * 8
    assert (tmp_path / "slept").read_text().split() == ["1", "2", "4", "8", "16", "30", "30"]
    (tmp_path / "failed-starts").unlink()
    assert start("--wait") == 3
    assert len((tmp_path / "slept").read_text().split()) == 7, "a first start does not wait"
    assert start() == 3
    assert len((tmp_path / "slept").read_text().split()) == 7, "systemd waits by itself"


def test_a_start_that_waits_ends_at_once_when_it_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\n")
    script = tmp_path / "claude-gatewayd.sh"
    script.write_bytes(SCRIPT.read_bytes())
    for file in (tmp_path / "program", script):
        file.chmod(0o755)
    (tmp_path / "failed-starts").write_text("9\n")
    waiting = subprocess.Popen([script, "--wait", tmp_path / "program"], process_group=0)
    children = Path(f"/proc/{waiting.pid}/task/{waiting.pid}/children")
    wait_until(lambda: any("sleep" in Path(f"/proc/{pid}/cmdline").read_text() for pid in children.read_text().split()))
    waiting.terminate()
    assert waiting.wait(5) == 0
    assert not (tmp_path / "failed-starts").exists(), "who starts it again waits for nothing"


def test_a_failing_service_is_started_ever_more_seldom(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    inside.good("claude-gatewayctl stop")
    inside.good("flock --nonblock $XDG_RUNTIME_DIR/claude-gateway/lock sleep 60 >/dev/null 2>&1 &")
    inside.good("systemctl --user start --no-block claude-gatewayd")
    begun = time.monotonic()
    inside.good(
        "until journalctl --user -q -t claude-gatewayd | grep -c 'is running already' | grep -q 4; do sleep 0.2; done",
        30,
    )
    assert time.monotonic() - begun > 1 + 2 + 4 - 0.5
    # It has just ended, or waits for its next start.
    inside.good("until claude-gatewayctl doctor | grep -q 'times before it could serve'; do sleep 0.2; done", 30)


@pytest.mark.parametrize("screen", [True, False])
def test_a_python_that_vanishes_on_a_mac(screen: bool) -> None:
    with Mac(screen=screen) as mac:
        other = mac.home / "venv"
        for name, text in installation(str(other)).items():
            file = other / "bin" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755)
        (other / "pyvenv.cfg").write_bytes((BIN.parent / "pyvenv.cfg").read_bytes())
        (other / "lib").symlink_to(BIN.parent / "lib")
        (other / "bin/python").symlink_to(os.path.realpath(sys.executable))
        notified = mac.home / "notified"
        tool = mac.home / "bin" / "osascript"
        tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"{notified}"\n')
        tool.chmod(0o755)
        installed = subprocess.run(
            [other / "bin/claude-gatewayctl", "install"], env=mac.environ, timeout=60, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert installed.returncode == 0, installed.stderr
        (other / "bin/python").unlink()
        os.kill(mac.pid, signal.SIGKILL)

        def refused() -> bool:
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", mac.port)) != 0

        wait_until(refused)
        assert FIX in mac.good("logs")
        assert FIX in notified.read_text()
        assert "venv/bin/python: not found" in mac.good("logs")
        assert "serving on" in mac.good("install")
