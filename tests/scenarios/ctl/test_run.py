"""`claude-gatewayctl run`: starts the daemon, then is claude, for a stand-in that tells what it was started with."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd import paths
from tests.support.daemon import BIN, Daemon
from tests.support.scripts import python_script

CLAUDE = """
import json, os, signal, sys
settings = {}
words = sys.argv[1:]
if "--settings" in words:
    file = words[words.index("--settings") + 1]
    settings = {"text": json.load(open(file)), "mode": os.stat(file).st_mode & 0o777}
print(json.dumps({"pid": os.getpid(), "argv": words, "environ": dict(os.environ), "settings": settings}),
      flush=True)
if "wait" in words:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pause()
sys.exit(int(os.environ.get("EXIT", "0")))
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as daemon:
        yield daemon


@pytest.fixture
def place(daemon: Daemon, tmp_path: Path) -> Path:
    """A directory with a `claude`, and a home for it beside the daemon's own directories."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "home" / ".claude").mkdir(parents=True)
    claude = tmp_path / "bin" / "claude"
    claude.write_text(python_script(CLAUDE))
    claude.chmod(0o755)
    return tmp_path


def environ_of(daemon: Daemon, place: Path, **more: str) -> dict[str, str]:
    return {
        **daemon.environ, "HOME": str(place / "home"), "PATH": f"{place / 'bin'}:{daemon.environ['PATH']}",
        "CLAUDE_CODE_USE_BEDROCK": "1", **more,
    }  # fmt: skip


def run(daemon: Daemon, place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "claude-gatewayctl"), "run", *words], env=environ_of(daemon, place, **more), cwd=place / "home",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def seen(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_is_claude_with_our_environment(daemon: Daemon, place: Path) -> None:
    done = run(daemon, place, "-p", "--", "a b", EXIT="7")
    assert (done.returncode, done.stderr) == (7, "")
    claude = seen(done)
    assert claude["argv"] == ["-p", "--", "a b"]
    assert claude["environ"]["ANTHROPIC_BASE_URL"] == daemon.url
    assert claude["environ"]["ANTHROPIC_CUSTOM_HEADERS"].startswith("x-gateway-key: cgw-")
    assert "CLAUDE_CODE_USE_BEDROCK" not in claude["environ"]
    assert seen(run(daemon, place, "--", "--direct"))["argv"] == ["--direct"]


def test_over_what_settings_files_say(daemon: Daemon, place: Path) -> None:
    settings = place / "home" / ".claude" / "settings.json"
    settings.write_text('{"env": {"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}')
    left, recent = (daemon.runtime / "claude-gateway" / f"run-{name}.json" for name in ("left", "recent"))
    left.touch()
    os.utime(left, (1e9, 1e9))
    recent.touch()
    done = run(daemon, place, "--settings", '{"model": "opus"}', "-p")
    claude = seen(done)
    assert not left.exists(), "on a Mac nobody else would remove it"
    assert recent.exists()
    assert claude["argv"][0] == "--settings"
    assert claude["argv"][2:] == ["-p"]
    assert claude["settings"] == {
        "text": {"model": "opus", "env": {"ANTHROPIC_BASE_URL": daemon.url, "CLAUDE_CODE_USE_BEDROCK": "0"}},
        "mode": 0o600,
    }
    assert settings.read_text().startswith('{"env"')
    around = seen(run(daemon, place, "--direct"))
    assert "ANTHROPIC_CUSTOM_HEADERS" not in around["environ"]
    assert around["argv"] == []


def test_models_of_bedrocks_are_left_out_and_named(daemon: Daemon, place: Path) -> None:
    native = "us.anthropic.claude-opus-4-8"
    settings = place / "home" / ".claude" / "settings.json"
    settings.write_text(json.dumps({"model": native, "modelOverrides": {"claude-opus-5-5": native}}))
    done = run(daemon, place, "-p", ANTHROPIC_MODEL=native, CLAUDE_CODE_SUBAGENT_MODEL="haiku")
    assert done.stderr.splitlines() == [
        f"{name} is left out for this run: it names models of Bedrock's, which AWS bills"
        for name in ("ANTHROPIC_MODEL", "model", "modelOverrides")
    ]
    claude = seen(done)
    assert "ANTHROPIC_MODEL" not in claude["environ"]
    assert claude["environ"]["CLAUDE_CODE_SUBAGENT_MODEL"] == "haiku"
    assert claude["settings"]["text"] == {
        "model": "", "modelOverrides": {"claude-opus-5-5": "claude-opus-5-5"}, "env": {}
    }  # fmt: skip


def test_its_signals_and_its_process_are_claudes(daemon: Daemon, place: Path) -> None:
    with subprocess.Popen(
        [str(BIN / "claude-gatewayctl"), "run", "wait"], env=environ_of(daemon, place), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["pid"] == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


def test_a_claude_that_is_a_script_that_comes_back(daemon: Daemon, place: Path) -> None:
    (place / "wrapper").mkdir()
    wrapper = place / "wrapper" / "claude"
    wrapper.write_text(f'#!/bin/sh\nexec "{BIN}/claude-gatewayctl" run "$@"\n')
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{place / 'bin'}:{os.environ['PATH']}"
    assert seen(run(daemon, place, "-p", PATH=path))["argv"] == ["-p"]
    (place / "bin" / "claude").unlink()
    done = run(daemon, place, "-p", PATH=f"{wrapper.parent}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "is a script that calls claude-gatewayctl run" in done.stderr


def test_two_ways_at_once(daemon: Daemon, place: Path) -> None:
    done = run(daemon, place, "--direct", "--bedrock")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Cannot use Bedrock mode without the gateway: ")


def test_a_daemon_in_the_background_can_be_upgraded(place: Path) -> None:
    """It is started by the link that `upgrade` moves, where that leads to this installation."""
    daemon = Daemon()
    try:
        link = paths.installation_link(environ_of(daemon, place))
        link.parent.mkdir(parents=True)
        link.symlink_to(sys.prefix)
        assert run(daemon, place).returncode == 0
        words = Path(f"/proc/{daemon.status()['pid']}/cmdline").read_text().split("\0")
        assert str(link / "bin" / "claude-gatewayd") in words
    finally:
        daemon.ctl("stop", "--now")
        daemon.close()


def test_without_a_claude(daemon: Daemon, place: Path) -> None:
    done = run(daemon, place, PATH="/nonexistent")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "Cannot start claude: it is not on the PATH", "  npm install --global @anthropic-ai/claude-code"
    ]  # fmt: skip


def test_it_starts_the_daemon_which_stays(place: Path) -> None:
    daemon = Daemon()
    try:
        done = run(daemon, place)
        assert done.stderr.startswith("claude-gatewayd was not running; starting it in the background (log: ")
        assert seen(done)["environ"]["ANTHROPIC_BASE_URL"] == daemon.url
        status = daemon.status()
        assert status["state"] == "serving"
        assert os.getsid(status["pid"]) not in (os.getsid(0), seen(done)["pid"])
        assert run(daemon, place).stderr == ""
        assert daemon.ctl("stop", "--now").returncode == 0
        with ThreadPoolExecutor(3) as pool:  # all at once: one daemon, and all find it
            all_three = list(pool.map(lambda _: run(daemon, place), range(3)))
        assert {seen(one)["environ"]["ANTHROPIC_BASE_URL"] for one in all_three} == {daemon.url}
        assert [one["number"] for one in daemon.status()["generations"]] == [1]
        assert daemon.ctl("stop", "--now").returncode == 0
        daemon.config_file.write_text("[listen]\nprot = 1\n")
        begun = time.monotonic()
        done = run(daemon, place)
        assert done.returncode == 1
        assert "Cannot start claude-gatewayd: Cannot start:" in done.stderr
        assert '[listen] prot: is not a known key\n    did you mean "port"?' in done.stderr
        assert time.monotonic() - begun < 10
    finally:
        daemon.ctl("stop", "--now")
        daemon.close()
