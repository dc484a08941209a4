"""What happens to a daemon under a real user manager. It runs inside one; `test_systemd` starts it and judges.

    tests/support/with-user-systemd -- PYTHON -m tests.scenarios.lifecycle.systemd_scene SCENE

Each event goes on under a load of its own. A line of JSON says what came of it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fakes.anthropic import FakeAnthropic
from tests.support.build import Build, build_wheel, install_wheel
from tests.support.calls import Stream, post
from tests.support.daemon import BIN, drop_in_of_a_checkout, wait_until
from tests.support.load import Load
from tests.support.stage import LOADED_WITHIN

PORT = 47000
UNIT = "claude-gatewayd"
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "AKIAINVENTED", "AWS_SECRET_ACCESS_KEY": "invented"}
REPOSITORY = Path(__file__).parents[3]
HANG = """
import signal as _signal
def _hang_here(*_):
    _time.sleep(600)
_signal.signal(_signal.SIGUSR2, _hang_here)
"""


class Scene:
    """An installation of the units as they are shipped, and the load on it."""

    def __init__(self, fake: FakeAnthropic, environ: dict[str, str]) -> None:
        self.fake = fake
        self.home = Path.home()
        self.config_file = self.home / ".config/claude-gateway/config.toml"
        self.config_file.parent.mkdir(parents=True)
        (self.home / ".config/claude-gateway/environment").write_text(
            "".join(f"{n}={v}\n" for n, v in {"CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": fake.url, **environ}.items())
        )
        self.units = self.home / ".config/systemd/user"
        self.units.mkdir(parents=True)
        for unit in (REPOSITORY / "packaging/systemd").glob(f"{UNIT}.*"):
            (self.units / unit.name).write_text(unit.read_text())
        data = self.home / ".local/share/claude-gateway"
        data.mkdir(parents=True)
        shutil.copy(REPOSITORY / f"packaging/{UNIT}.sh", data)
        self.bin = self.home / ".local/bin"
        self.bin.mkdir(parents=True)
        self.link(BIN)
        self.systemctl("daemon-reload")

    def link(self, to: Path) -> None:
        """Let the path that the unit names lead to the programs in a directory."""
        for name in ("claude-gatewayd", "claude-gatewayctl"):
            (self.bin / name).unlink(missing_ok=True)
            (self.bin / name).symlink_to(to / name)

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemctl", "--user", *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    def analyze(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemd-analyze", "--user", *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    def exposure(self) -> float:
        """Return what `systemd-analyze security` makes of the service: 10 is the worst."""
        output = self.analyze("security", "--no-pager", f"{UNIT}.service").stdout
        found = re.search(r"Overall exposure level for .*: ([0-9.]+)", output)
        assert found, output
        return float(found[1])

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / "claude-gatewayctl"), *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    def status(self) -> dict[str, Any]:
        """Return what the daemon says, or nothing when it does not."""
        done = self.ctl("status", "--json")
        status: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return status

    def main_pid(self) -> int:
        return int(self.systemctl("show", "-P", "MainPID", UNIT).stdout)

    def is_serving(self, *, beside: int = 0) -> bool:
        """Say whether a generation serves, in another process than *beside*."""
        pids = [g["pid"] for g in self.status().get("generations", ()) if g["state"] == "serving"]
        return bool(pids) and beside not in pids

    def worker(self) -> int:
        """Return the process that serves."""
        wait_until(self.is_serving)
        pid: int = next(g["pid"] for g in self.status()["generations"] if g["state"] == "serving")
        return pid

    def journal(self, *arguments: str) -> str:
        return subprocess.run(
            ["journalctl", "--user", "-o", "cat", "-t", UNIT, *arguments], capture_output=True, text=True, check=True
        ).stdout

    @contextmanager
    def under_load(self, event: str, *, settle: float = 1.0) -> Iterator[dict[str, Any]]:
        """Put a load on it while an event happens, and emit the outcome with what is put into the dictionary."""
        report: dict[str, Any] = {"event": event}
        with Load(PORT) as load:
            seen = len(self.fake.requests)
            if self.main_pid() and event != "broken start":
                self.fake.wait_until(lambda: len(self.fake.requests) > seen + 150, 30)
            begun = time.monotonic()
            yield report
            report["seconds"] = round(time.monotonic() - begun, 2)
            time.sleep(settle)  # clients that think come back within that
        emit(report | asdict(load.found) | {"requests": load.found.requests, "failed": load.found.failed})


def emit(report: dict[str, Any]) -> None:
    """Print a line for the test."""
    print(json.dumps(report), flush=True)


class Streams:
    """Streams that are open for *seconds*, each read by a thread."""

    def __init__(self, number: int, seconds: float) -> None:
        self.whole = 0
        self._open = [Stream(PORT, f"[[slow {int(seconds * 4)} 0.25]]") for _ in range(number)]
        self._threads = [threading.Thread(target=self._read, args=(stream,)) for stream in self._open]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Stream) -> None:
        with stream:
            stream.rest()
            self.whole += stream.is_whole

    def end(self) -> dict[str, int]:
        """Wait for their ends; return how many there were, and how many were whole."""
        for thread in self._threads:
            thread.join()
        return {"streams": len(self._open), "whole": self.whole}


def life() -> None:
    """Everything that may befall it, with nothing but Anthropic's lane."""
    build = Build(Path.home() / "build", more=HANG)
    with FakeAnthropic() as fake:
        scene = Scene(fake, build.environ)
        try:
            _units(scene)
            _gentle(scene, build)
            _sandboxed(scene)
            _rough(scene)
            _closed(scene, build)
            _no_bus(scene)
        finally:
            fake.release()
            emit({"event": "journal", "text": scene.journal()[-20000:], "errors": scene.journal("-p", "err")})
            scene.systemctl("stop", f"{UNIT}.socket", UNIT)


def _units(scene: Scene) -> None:
    """What systemd thinks of the units."""
    files = [str(scene.units / f"{UNIT}.{kind}") for kind in ("service", "socket")]
    verified = scene.analyze("verify", *files)
    emit({"event": "verify", "status": verified.returncode, "output": verified.stdout + verified.stderr})
    emit({"event": "security", "exposure": scene.exposure()})


def _sandboxed(scene: Scene) -> None:
    """The same in the sandbox, where the machine can make one."""
    probe = ["systemd-run", "--user", "--wait", "-q", "-p", "PrivateUsers=yes", "-p", "ProtectSystem=strict", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        emit({"event": "sandbox", "why_not": "no user namespaces"})
        return
    drop_in = scene.units / f"{UNIT}.service.d/50-sandbox.conf"
    drop_in.parent.mkdir()
    drop_in.write_text((REPOSITORY / "packaging/systemd/50-sandbox.conf").read_text())
    (drop_in.parent / "60-checkout.conf").write_text(drop_in_of_a_checkout())
    scene.systemctl("daemon-reload")
    emit({"event": "sandbox", "exposure": scene.exposure()})
    worker = scene.worker()
    with scene.under_load("restart into the sandbox") as report:
        report["status"] = scene.systemctl("restart", UNIT).returncode
        wait_until(lambda: scene.is_serving(beside=worker))
    again = scene.worker()
    with scene.under_load("SIGTERM in the sandbox") as report:
        os.kill(scene.main_pid(), signal.SIGTERM)  # systemd has no job for it
        wait_until(lambda: scene.is_serving(beside=again))


def _gentle(scene: Scene, build: Build) -> None:
    """What nobody may notice."""
    scene.systemctl("start", f"{UNIT}.socket")
    with scene.under_load("start") as report:
        report["status"] = scene.systemctl("start", UNIT).returncode
    with scene.under_load("nothing"):
        pass
    streams = Streams(3, 30)

    with scene.under_load("reload") as report:
        report["status"] = scene.systemctl("reload", UNIT).returncode
    build.spoil()
    with scene.under_load("broken reload") as report:
        report["status"] = scene.systemctl("reload", UNIT).returncode
    build.mend()
    pid = scene.main_pid()
    with scene.under_load("upgrade in place") as report:
        report["status"] = scene.systemctl("reload", UNIT).returncode
        wait_until(lambda: "goes on as pid" in scene.journal())
        report["same_pid"] = scene.main_pid() == pid
    worker = scene.worker()
    with scene.under_load("restart") as report:
        report["status"] = scene.systemctl("restart", UNIT).returncode
        wait_until(lambda: scene.is_serving(beside=worker))
        report["same_pid"] = scene.main_pid() == pid

    build.spoil()
    with scene.under_load("restart into a broken build", settle=3.0) as report:
        report["status"] = scene.systemctl("restart", UNIT).returncode
        wait_until(lambda: scene.status().get("state") == "waiting")
        status = scene.status()
        report |= {
            "state": status["state"],
            "predecessors": len(status["predecessors"]),
            "health": scene.ctl("health").stdout,
        }
        report["unit"] = scene.systemctl("show", "-P", "StatusText", UNIT).stdout.strip()
        report["text"] = scene.ctl("status").stdout
    with scene.under_load("its mending") as report:
        build.mend()
        report["status"] = scene.ctl("reload").returncode
        wait_until(lambda: not scene.status()["predecessors"])
    build.spoil("supervisor/main.py")
    worker = scene.worker()
    with scene.under_load("restart into a broken supervisor", settle=3.0) as report:
        scene.systemctl("restart", "--no-block", UNIT)
        wait_until(lambda: scene.main_pid() != pid)
    with scene.under_load("the mending of that") as report:
        build.mend("supervisor/main.py")
        wait_until(lambda: scene.is_serving(beside=worker))
    emit({"event": "open streams", **streams.end()})


def _rough(scene: Scene) -> None:
    """What costs those who are there, but nobody who comes."""
    worker = scene.worker()
    with scene.under_load("kill -9 worker") as report:
        os.kill(worker, signal.SIGKILL)
        report["noticed"] = _seconds_until(lambda: scene.is_serving(beside=worker))
    worker = scene.worker()
    with scene.under_load("kill -9 supervisor") as report:
        os.kill(scene.main_pid(), signal.SIGKILL)
        report["noticed"] = _seconds_until(lambda: scene.is_serving(beside=worker))
    worker = scene.worker()
    with scene.under_load("hung loop", settle=13.0) as report:
        os.kill(worker, signal.SIGUSR2)
        report["noticed"] = _seconds_until(lambda: scene.is_serving(beside=worker))
    with scene.under_load("stop, and activation") as report:
        report["status"] = scene.systemctl("stop", UNIT).returncode
        report["noticed"] = _seconds_until(scene.is_serving)

    scene.config_file.write_text("[listen]\nprot = 1\n")
    scene.systemctl("stop", UNIT)
    with scene.under_load("broken start") as report:
        report["status"] = scene.systemctl("start", UNIT).returncode
        wait_until(lambda: scene.status().get("state") == "refusing")
        report["unit"] = scene.systemctl("show", "-P", "StatusText", UNIT).stdout.strip()
        scene.config_file.write_text("")
        report["mended"] = scene.systemctl("reload", UNIT).returncode


# with several workers


def workers() -> None:
    """What nobody may notice, with a generation of two."""
    build = Build(Path.home() / "build")
    with FakeAnthropic() as fake:
        scene = Scene(fake, build.environ)
        scene.config_file.write_text("[listen]\nworkers = 2\n")
        try:
            scene.systemctl("start", f"{UNIT}.socket", UNIT)
            wait_until(lambda: len(_pids(scene)) == 2)
            streams = Streams(4, 25)
            with scene.under_load("reload of two") as report:
                report["status"] = scene.systemctl("reload", UNIT).returncode
                report["workers"] = len(_pids(scene))
            pid = scene.main_pid()
            build.set_version("8.0")
            with scene.under_load("upgrade of two in place") as report:
                report["status"] = scene.systemctl("reload", UNIT).returncode
                wait_until(lambda: "goes on as pid" in scene.journal())
                report["workers"] = len(_pids(scene))
                report["same_pid"] = scene.main_pid() == pid
            before = _pids(scene)
            with scene.under_load("restart of two") as report:
                report["status"] = scene.systemctl("restart", UNIT).returncode
                wait_until(lambda: len(_pids(scene)) == 2 and not before & _pids(scene))
                report["predecessors"] = len(scene.status()["predecessors"])
            emit({"event": "open streams", **streams.end()})
            killed = min(_pids(scene))
            with scene.under_load("kill -9 one of two"):
                os.kill(killed, signal.SIGKILL)
                wait_until(lambda: len(_pids(scene)) == 2 and killed not in _pids(scene))
            begun = Streams(4, 4)
            scene.systemctl("stop", f"{UNIT}.socket", UNIT)
            emit({"event": "stop of two", **begun.end()})
        finally:
            fake.release()
            emit({"event": "journal", "text": scene.journal()[-20000:]})
            scene.systemctl("stop", f"{UNIT}.socket", UNIT)


def _pids(scene: Scene) -> set[int]:
    """Return the workers that serve."""
    return {pid for one in scene.status().get("generations", ()) if one["state"] == "serving" for pid in one["pids"]}


# with LiteLLM


def litellm() -> None:
    """Two hand-overs between workers that have imported LiteLLM."""
    with FakeAnthropic() as fake:
        scene = Scene(fake, AWS_KEYS)
        own = scene.home / "models.yaml"  # a hand-over waits for LiteLLM if there are models of the user's own
        own.write_text("model_list: []\n")
        scene.config_file.write_text(f'[bedrock]\nenabled = true\n[litellm]\nconfig = "{own}"\n')
        try:
            scene.systemctl("start", f"{UNIT}.socket", UNIT)
            wait_until(lambda: _has_litellm(scene), LOADED_WITHIN)
            streams = Streams(3, 20)
            old = scene.worker()
            with scene.under_load("reload with LiteLLM") as report:
                report["status"] = scene.systemctl("reload", UNIT).returncode
                report["bedrock"] = _has_litellm(scene)
                report["memory"] = {"old": _memory(old), "new": _memory(scene.worker())}
                report["supervisor"] = scene.status()["memory"]["supervisor"] >> 20
            old = scene.worker()
            with scene.under_load("restart with LiteLLM") as report:
                report["status"] = scene.systemctl("restart", UNIT).returncode
                report["bedrock"] = _has_litellm(scene)
                report["memory"] = {"old": _memory(old), "new": _memory(scene.worker())}
            emit({"event": "open streams", **streams.end()})
            emit({"event": "unit", "text": scene.systemctl("show", "-P", "StatusText", UNIT).stdout.strip()})
        finally:
            fake.release()
            emit({"event": "journal", "text": scene.journal()[-20000:]})
            scene.systemctl("stop", f"{UNIT}.socket", UNIT)


def _has_litellm(scene: Scene) -> bool:
    return bool(scene.status().get("litellm", {}).get("state") == "ready")


def _memory(pid: int) -> dict[str, int]:
    """Return what a process has resident, and what of it is its own alone, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in lines[1:]}
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"resident": kilobytes["Rss"] // 1024, "own": own // 1024}


# another version


def upgrade() -> None:
    """From one wheel to another, to two that are no good, back, and what `install` makes of that."""
    site = sysconfig.get_path("purelib")  # the new environments are made without what we depend on
    with FakeAnthropic() as fake:
        scene = Scene(fake, {"PYTHONPATH": site})
        share = scene.home / ".local/share"  # by a symlink, as many a home is
        share.rename(scene.home / "share")
        share.symlink_to(scene.home / "share")
        os.environ |= {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": site}
        os.environ["PATH"] = f"{scene.bin}:{os.environ['PATH']}"
        scene.link(install_wheel(scene.home / "app", build_wheel(Path.home(), "0.1.1")))
        good = build_wheel(Path.home(), "0.2.0")
        unfit = build_wheel(
            Path.home(), "0.3.0", relay="import sys\nif '--probe' not in sys.argv: raise ImportError('unfit')\n"
        )
        broken = build_wheel(Path.home(), "0.4.0", supervisor="raise ImportError('broken')\n")
        try:
            installed = scene.ctl("install")
            emit({"event": "install", "status": installed.returncode, "out": installed.stdout + installed.stderr})
            streams = Streams(3, 30)
            pid = scene.main_pid()
            for event, *arguments in (
                ("upgrade", "upgrade", good),
                ("upgrade to one that cannot serve", "upgrade", unfit),
                ("upgrade to one that is broken", "upgrade", broken),
                ("rollback", "upgrade", "--rollback"),
                ("forth again", "upgrade", "--rollback"),
                ("restart", "restart"),
                ("install by the one before", "install"),
            ):
                with scene.under_load(event) as report:
                    done = scene.ctl(*arguments)
                    report |= {"status": done.returncode, "out": done.stdout, "err": done.stderr}
                    report |= {"version": json.loads(scene.ctl("version", "--json").stdout)["daemon"]}
                    report["same_pid"] = scene.main_pid() == pid
            emit({"event": "open streams", **streams.end()})
            ours = share / "claude-gateway"
            kept = [path for path in (ours / "versions").iterdir() if path.is_dir()]
            back = (ours / "previous").resolve()
            emit({"event": "kept", "versions": len(kept), "back": [back] == [path.resolve() for path in kept]})
        finally:
            fake.release()
            emit({"event": "journal", "text": scene.journal()[-20000:]})
            scene.systemctl("stop", f"{UNIT}.socket", UNIT)


def between(*, with_litellm: bool = False) -> None:
    """From the wheel of another version, $OTHER_WHEEL, to this one and back: by `upgrade`, and in place."""
    site = sysconfig.get_path("purelib")
    with FakeAnthropic() as fake:
        scene = Scene(fake, {"PYTHONPATH": site, **(AWS_KEYS if with_litellm else {})})
        scene.config_file.write_text(f'[bedrock]\nenabled = {str(with_litellm).lower()}\n[litellm]\nload = "eager"\n')
        os.environ |= {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": site}
        os.environ["PATH"] = f"{scene.bin}:{os.environ['PATH']}"
        other = os.environ["OTHER_WHEEL"]
        ours = build_wheel(Path.home(), "99.0.0")
        app = scene.home / "app"
        scene.link(install_wheel(app, other))
        upgraded = scene.home / ".local/share/claude-gateway/current/bin/claude-gatewayctl"
        pip = [sys.executable, "-m", "pip", "--python", str(app / "bin/python"), "-q", "--disable-pip-version-check"]
        in_place = [*pip, "install", "--force-reinstall"]
        ctl = str(scene.bin / "claude-gatewayctl")
        # else pip finds the package in PYTHONPATH, too, and removes nothing of the one that it replaces
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        try:
            installed = scene.ctl("install")
            emit({"event": "install", "status": installed.returncode, "out": installed.stdout + installed.stderr})
            wait_until(lambda: not with_litellm or _has_litellm(scene), LOADED_WITHIN)
            streams = Streams(3, 60)
            pid, version = scene.main_pid(), _version(scene)
            for event, *commands in (
                ("upgrade", [ctl, "upgrade", ours]),
                ("rollback by the newer ctl", [str(upgraded), "upgrade", "--rollback"]),
                ("forth by the older ctl", [ctl, "upgrade", "--rollback"]),
                ("rollback by the older ctl", [ctl, "upgrade", "--rollback"]),
                ("in place", [*in_place, ours], [ctl, "reload"]),
                ("back in place", [*in_place, other], [ctl, "reload"]),
                ("in place again", [*in_place, ours], [ctl, "reload"]),
                ("restart", [ctl, "restart"]),
                ("back in place, and restart", [*in_place, other], [ctl, "restart"]),
                ("in place, and restart", [*in_place, ours], [ctl, "restart"]),
            ):
                with scene.under_load(event) as report:
                    done = [
                        subprocess.run(
                            one, env=alone if one[:4] == in_place[:4] else None,
                            capture_output=True, text=True, timeout=200, check=False,
                        )
                        for one in commands
                    ]  # fmt: skip
                    report |= {"status": [one.returncode for one in done]}
                    report |= {"out": "".join(one.stdout + one.stderr for one in done)}
                    wait_until(lambda: scene.is_serving() and (not with_litellm or _has_litellm(scene)), LOADED_WITHIN)
                    if event != "restart":  # after a reload the supervisor becomes the other version a moment later
                        before = version
                        wait_until(lambda: _version(scene) != before)  # noqa: B023  it is called here
                    version = _version(scene)
                    report |= {"version": version}
                    report["same_pid"] = scene.main_pid() == pid
            emit({"event": "open streams", **streams.end()})
        finally:
            fake.release()
            emit({"event": "journal", "text": scene.journal()[-40000:]})
            scene.systemctl("stop", f"{UNIT}.socket", UNIT)


def _version(scene: Scene) -> str:
    """Return the version of the daemon that runs."""
    version: str = json.loads(scene.ctl("version", "--json").stdout)["daemon"]
    return version


def between_with_litellm() -> None:
    """The same with LiteLLM loaded, and keys that go from one generation to the next."""
    between(with_litellm=True)


def _closed(scene: Scene, build: Build) -> None:
    """A worker whose successor cannot start has the port open, until the socket is stopped."""
    worker = scene.worker()
    with Stream(PORT, "[[slow 12 0.25]]") as stream:
        build.spoil("supervisor/main.py")
        scene.systemctl("restart", "--no-block", UNIT)
        wait_until(lambda: f"[{worker}] serve on" in scene.journal())
        wait_until(lambda: scene.main_pid() == 0)  # it has been started, and has ended
        before = answers()
        scene.systemctl("stop", f"{UNIT}.socket", UNIT)
        wait_until(lambda: not answers())
        stream.rest()
        emit({"event": "closed", "before": before, "whole": stream.is_whole})
    build.mend("supervisor/main.py")


def _no_bus(scene: Scene) -> None:
    """Without a message bus nobody can be moved: a restart waits for what is under way, and callers wait for it."""
    scene.systemctl("start", f"{UNIT}.socket", UNIT)
    wait_until(scene.is_serving)
    scene.systemctl("stop", "dbus.socket", "dbus.service")
    Path(os.environ["XDG_RUNTIME_DIR"], "bus").unlink(missing_ok=True)
    pid = scene.main_pid()
    with Stream(PORT, "[[slow 12 0.25]]") as stream:
        scene.systemctl("restart", "--no-block", UNIT)
        wait_until(lambda: "again to end at once" in scene.journal())
        status, _ = post(PORT)
        stream.rest()
    emit({"event": "no bus", "status": status, "whole": stream.is_whole, "same_pid": scene.main_pid() == pid})


def answers() -> bool:
    """Say whether anybody accepts a connection."""
    try:
        return post(PORT)[0] == 200
    except OSError:
        return False


def _seconds_until(condition: Callable[[], bool]) -> float:
    begun = time.monotonic()
    wait_until(condition)
    return round(time.monotonic() - begun, 2)


SCENES = {
    "life": life,
    "upgrade": upgrade,
    "workers": workers,
    "litellm": litellm,
    "between": between,
    "between-litellm": between_with_litellm,
}

if __name__ == "__main__":
    SCENES[sys.argv[1]]()
