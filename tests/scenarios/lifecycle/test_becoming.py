"""A reload takes up what is installed now, the supervisor included: the same process goes on as another program."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.supervisor import SIGNALS, reexec
from claude_gatewayd.supervisor.reexec import SupervisorState
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.build import Build
from tests.support.calls import HEADERS, MODEL, Stream, message, post
from tests.support.daemon import BIN, Daemon, children, wait_until
from tests.support.load import Load
from tests.support.stage import LOADED_WITHIN, Stage, Through, asking, by_each_transport


def becomes(daemon: Daemon) -> int:
    """Return how often it has gone on as another program."""
    return daemon.log.count(f"goes on as pid {daemon.pid}")


def descriptors(daemon: Daemon) -> int:
    """Return how many it has open, where that can be seen."""
    open_ones = Path(f"/proc/{daemon.pid}/fd")
    return len(os.listdir(open_ones)) if open_ones.exists() else 0


def test_it_goes_on_with_all_that_it_had(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        before = descriptors(daemon)
        first, second = fake.hold_next("end"), fake.hold_next("end")
        with Stream(daemon.port) as oldest:
            first.wait_reached()
            build.set_version("8.0")
            assert daemon.ctl("reload").returncode == 0
            wait_until(lambda: becomes(daemon) == 1)
            with Stream(daemon.port) as older:
                second.wait_reached()
                build.set_version("9.0.0")
                assert daemon.ctl("reload").returncode == 0
                wait_until(lambda: becomes(daemon) == 2)
                status = daemon.status()
                assert (status["version"], status["pid"], status["state"]) == ("9.0.0", daemon.pid, "serving")
                assert {g["number"]: g["state"] for g in status["generations"]} == {
                    1: "draining",
                    2: "draining",
                    3: "serving",
                }
                assert status["last_reload"]["applied"] is True
                assert status["under_way"] == 2
                assert sorted(children(daemon.pid)) == sorted(daemon.workers()), "a child that nobody waits for"
                assert post(daemon.port)[0] == 200
                second.release()
                older.rest()
                assert older.is_whole
            first.release()
            oldest.rest()
            assert oldest.is_whole
        wait_until(lambda: len(daemon.workers()) == 1)
        wait_until(lambda: daemon.status()["requests"]["200"] == 4)  # of all three, and of the first look
        assert descriptors(daemon) == before
        another = subprocess.run([BIN / "claude-gatewayd"], env=daemon.environ, capture_output=True, text=True)
        assert another.returncode == 1
        assert f"is running already, pid {daemon.pid}" in another.stderr
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.workers() == []
        assert "Traceback" not in daemon.log


def test_under_load_nothing_is_lost(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        with Load(daemon.port) as load:
            fake.wait_until(lambda: len(fake.requests) > 100, 30)
            for number in (1, 2):
                build.set_version(f"9.0.{10**number}")
                assert daemon.ctl("reload").returncode == 0
                wait_until(lambda number=number: becomes(daemon) == number)
                wait_until(lambda number=number: daemon.status()["version"] == f"9.0.{10**number}")
                daemon.signal(signal.SIGHUP)  # nothing has changed now
        print(f"\n2 changes of the program: {load.found}")
        assert load.found.failed == 0, load.found
        assert becomes(daemon) == 2, "a reload that finds nothing new changes no program"


@pytest.mark.slow
@by_each_transport
def test_a_stream_from_bedrock_flows_on(fake: FakeAnthropic, build: Build, through: Through) -> None:
    """Through a reload that takes up another version; and who asks Bedrock during it is answered."""
    named = f"{MODEL}-bedrock"
    with FakeBedrock() as bedrock:
        environ = build.environ | asking(bedrock, through)
        with Daemon(upstream=fake.url, environ=environ) as daemon:
            Stage(fake, bedrock, daemon).wait_asking(through)
            assert post(daemon.port)[0] == 200  # the credential is good
            with Stream(daemon.port, "[[slow 50 0.1]]", model=named) as stream:
                build.set_version("9.0.0")
                assert daemon.ctl("reload").returncode == 0
                assert post(daemon.port, message(model=named))[0] == 200
                assert b"message_stop" not in stream.data
                stream.rest()
                assert stream.is_whole
                assert [n for n in range(1, 51) if f'"word-{n} "'.encode() not in stream.data] == []
            wait_until(lambda: becomes(daemon) == 1)
            assert post(daemon.port, message(model=named))[0] == 200
            assert bedrock.violations == bedrock.refusals == []
        assert "Traceback" not in daemon.log


def test_a_death_in_the_very_moment_is_seen(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        build.set_version("9.0.0")
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: "going on with" in daemon.log)
        daemon.kill(next(g for g in daemon.workers() if g != 0))
        wait_until(lambda: becomes(daemon) == 1)
        wait_until(lambda: daemon.status()["state"] == "serving", describe=daemon.describe)
        assert post(daemon.port)[0] == 200


def test_signals_wait_for_the_next_program(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        build.set_version("9.0.0")
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: "going on with" in daemon.log)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "stopped" in daemon.log
        assert daemon.workers() == []


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("supervisor/main.py", "supervisor: cannot take over: ImportError: a broken upgrade"),
        ("supervisor/reexec.py", "supervisor: cannot take over: ImportError: a broken upgrade"),
        ("worker/worker.py", "worker: ended with status 1 before it served"),
    ],
)
def test_one_that_could_not_take_over_is_refused(fake: FakeAnthropic, build: Build, file: str, why: str) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        (worker,) = daemon.workers()
        build.spoil(file)
        done = daemon.ctl("reload")
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr
        assert daemon.workers() == [worker]
        assert becomes(daemon) == 0
        build.mend(file)
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: becomes(daemon) == 1)
        assert post(daemon.port)[0] == 200


def test_the_path_leads_elsewhere(fake: FakeAnthropic, build: Build, tmp_path: Path) -> None:
    """What the unit names is a link, and an upgrade moves it."""
    link = tmp_path / "current"
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "python").symlink_to(sys.executable)
        script = (BIN / "claude-gatewayd").read_text().partition("\n")[2]
        (tmp_path / version / "claude-gatewayd").write_text(f"#!{tmp_path}/{version}/python\n{script}")
        (tmp_path / version / "claude-gatewayd").chmod(0o755)
    site = Path(sys.executable).parents[1] / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    environ = {"PYTHONPATH": f"{build.environ['PYTHONPATH']}:{site}"}
    link.symlink_to("1")
    with Daemon(upstream=fake.url, environ=environ, executable=link / "claude-gatewayd") as daemon:
        assert started_by(daemon.workers()[0]) == f"{tmp_path}/1/python"
        link.unlink()
        link.symlink_to("2")
        (first,) = daemon.workers()
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: becomes(daemon) == 1)
        wait_until(lambda: first not in daemon.workers())
        assert started_by(daemon.workers()[0]) == f"{tmp_path}/2/python"
        assert started_by(daemon.pid) == f"{tmp_path}/2/python"

        shutil.rmtree(tmp_path / "1")  # the old one is not needed any more
        daemon.kill(daemon.workers()[0])
        wait_until(lambda: daemon.status()["state"] == "serving" and post(daemon.port)[0] == 200)

        link.unlink()
        done = daemon.ctl("reload")
        assert done.returncode == 1
        assert f"installation: cannot start from {link}/claude-gatewayd: No such file" in done.stderr
        assert "install it again" in done.stderr
        assert post(daemon.port)[0] == 200


def started_by(pid: int) -> str:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("needs /proc")
    return Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]


@pytest.mark.slow
def test_a_worker_under_which_files_were_replaced_loads_no_litellm(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        key = json.loads(daemon.ctl("key", "--json").stdout)["key"]
        build.set_version("9.0.0")
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        try:
            body = message(model="claude-opus-5-5-bedrock")
            connection.request("POST", "/v1/chat/completions", body, HEADERS | {"authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        assert answer.status == 503
        assert "the installation has changed since this generation started (claude-gatewayctl reload)" in text
        assert post(daemon.port)[0] == 200, "Anthropic's lane needs none of it"
        # and what it cannot do, one of the new version does
        wait_until(lambda: becomes(daemon) == 1, describe=daemon.describe)
        assert daemon.status()["version"] == "9.0.0"
        wait_until(lambda: daemon.status()["litellm"]["state"] == "ready", LOADED_WITHIN, daemon.describe)
        assert post(daemon.port)[0] == 200


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"listener": 3}', '{"generations": [{"number": 1}]}'])
def test_a_state_of_another_kind_is_no_state(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        SupervisorState.of(text)


def test_what_cannot_be_started_changes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as control, open(os.devnull) as lock:
        state = SupervisorState(
            listener=listener.fileno(), bound="", lock=lock.fileno(), control=control.fileno(), managed=True,
            started_at=0.0, had_terminal=False, outlives_terminal=False, log_level="info", last_reload=None, past={},
            generations=(),
        )  # fmt: skip
        with pytest.raises(FileNotFoundError):
            reexec.execute("/nonexistent/python", state)
        assert not any(os.get_inheritable(descriptor) for descriptor in (listener.fileno(), lock.fileno()))
        assert "CLAUDE_GATEWAYD_STATE" not in os.environ
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & SIGNALS


def test_nobody_else_takes_a_state_for_its_own(fake: FakeAnthropic) -> None:
    """The variable is inherited, as variables are; what it names is only for the process that wrote it."""
    with socket.socket() as sock:
        environ = {"CLAUDE_GATEWAYD_STATE": f"1:{sock.fileno()}"}
        with Daemon(upstream=fake.url, environ=environ) as daemon:
            assert post(daemon.port)[0] == 200
