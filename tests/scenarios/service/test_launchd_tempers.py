"""The agent, where launchd does what people have measured, and what no manual page says: both where they disagree."""

import json
import os
import plistlib
import re
import signal
import time
from collections.abc import Iterator
from shlex import quote

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.programs import Programs
from tests.scenarios.service.launchd import LABEL, USUAL, Mac, Temper
from tests.support.calls import Stream, post
from tests.support.daemon import wait_until


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as fake:
        yield fake


def acts(mac: Mac) -> list[str]:
    """Return what launchctl was told to do, with the kind of the domain; and forget it."""
    found = []
    for verb, *words in mac.calls:
        if not verb.startswith("print"):
            domains = [word.partition("/")[0] for word in words if word.startswith(("gui/", "user/"))]
            found.append(" ".join((verb, *(word for word in words if "/" not in word), *domains)))
    mac.calls.clear()
    return found


def session_types(mac: Mac) -> object:
    return plistlib.loads((mac.home / f"Library/LaunchAgents/{LABEL}.plist").read_bytes())["LimitLoadToSessionType"]


# -- restart: never `kickstart -k`


@pytest.mark.parametrize(
    "temper",
    [
        USUAL,
        Temper(kickstart_k="kill"),
        Temper(kickstart_k="fail"),
        Temper(kickstart_k="unload"),
        Temper(respawns=False),
        Temper(unloads=True),
    ],
    ids=str,
)
def test_a_restart_starts_another_whatever_becomes_of_the_first(temper: Temper) -> None:
    with Mac(temper=temper) as mac:
        mac.good("install")
        acts(mac)
        first = mac.pid
        assert mac.good("restart").startswith("Restarted in ")
        assert mac.pid not in (0, first)
        done = acts(mac)
        assert done[0] == "kill SIGTERM gui"
        assert "kickstart -k" not in " ".join(done)
        assert mac.ctl("health").returncode == 0


def test_a_supervisor_that_hangs_is_killed_by_a_restart() -> None:
    with Mac() as mac:
        mac.good("install")
        acts(mac)
        first = mac.pid
        os.kill(first, signal.SIGSTOP)
        assert mac.ctl("restart").returncode == 0
        assert mac.pid not in (0, first)
        assert acts(mac) == ["kill SIGTERM gui", "kill SIGKILL gui"]


def test_an_agent_that_does_not_run_is_kicked() -> None:
    with Mac(temper=Temper(respawns=False)) as mac:
        mac.good("install")
        mac._command("kill", "SIGKILL", f"gui/{os.getuid()}/{LABEL}")
        wait_until(lambda: mac.pid == 0)
        acts(mac)
        mac.good("restart")
        assert acts(mac) == ["kickstart gui"]


# -- bootstrap


def test_an_agent_that_bootstrap_does_not_start() -> None:
    with Mac(temper=Temper(starts_at_bootstrap=False)) as mac:
        output = mac.good("install")
        assert acts(mac)[-2:] == ["bootstrap gui", "kickstart gui"]
        assert float(re.findall(r"in (\d+\.\d) s", output)[0]) < 20
        mac.good("stop")
        mac.good("start")


# -- domains


@pytest.mark.parametrize("array_in_user", [True, False])
def test_nobody_at_the_screen(array_in_user: bool) -> None:
    with Mac(screen=False, temper=Temper(array_in_user=array_in_user)) as mac:
        mac.good("install")
        assert session_types(mac) == "Background"
        assert "bootstrap user" in acts(mac)
        assert mac.good("install").startswith("Nothing to do: ")


def test_an_agent_of_the_other_domain_is_found_and_moves_with_an_install() -> None:
    with Mac(screen=False) as mac:
        mac.good("install")
        mac.screen = True
        mac.good("reload")
        acts(mac)
        mac.good("restart")
        assert acts(mac)[0] == "kill SIGTERM user"
        mac.good("stop")
        assert acts(mac) == ["bootout user"]
        mac.good("start")
        assert acts(mac) == ["enable user", "bootstrap user", "kickstart user"]
        mac.good("install")
        assert [one for one in acts(mac) if "enable" not in one] == ["bootout user", "bootstrap gui", "kickstart gui"]
        assert session_types(mac) == ["Aqua", "Background"]
        mac.good("uninstall")
        assert acts(mac) == ["bootout gui"]


# -- stop: nobody waits for a stream, and none is cut


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_stream_outlives(fake: FakeAnthropic, verb: str) -> None:
    with Mac() as mac:
        mac.good("install", environ={"CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": fake.url})
        hold = fake.hold_next("end")
        with Stream(mac.port) as stream:
            hold.wait_reached()
            begun = time.monotonic()
            output = mac.good(verb)
            assert time.monotonic() - begun < 10
            if verb == "stop":
                assert "requests in progress will finish" in output
                assert mac.pid == 0
            else:
                assert post(mac.port)[0] == 200
            hold.release()
            stream.rest()
            assert stream.is_whole


def test_what_a_stop_has_left_can_be_cut(fake: FakeAnthropic) -> None:
    with Mac() as mac:
        mac.good("install", environ={"CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": fake.url})
        worker = json.loads(mac.good("status", "--json"))["generations"][0]["pid"]
        hold = fake.hold_next("end")
        with Stream(mac.port):
            hold.wait_reached()
            mac.good("stop")
            os.kill(worker, 0)
            assert mac.good("stop", "--now").startswith("Cut off ")
            wait_until(lambda: not _is_there(worker))
            hold.release()
        assert mac.ctl("stop", "--now").returncode != 0


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"


# -- the socket


def test_a_socket_without_an_address() -> None:
    with Mac(temper=Temper(binds=False)) as mac:
        assert f"serving on http://127.0.0.1:{mac.port}" in mac.good("install")
        assert "passed no socket that listens on a port: binding one" in mac.log
        mac.good("restart")


# -- a death by signal


def test_a_death_by_signal_is_named() -> None:
    with Mac(temper=Temper(respawns=False)) as mac:
        mac.good("install")
        mac._spawned_at = float("inf")  # no other is started, though doctor connects
        mac._signal(signal.SIGABRT)
        wait_until(lambda: mac.pid == 0)
        done = mac.ctl("doctor")
        assert "it was ended by a signal (Aborted: 6)" in done.stdout
        assert f"tail -n 40 {quote(f'{mac.home}/Library/Logs/claude-gateway/launchd.log')}" in done.stdout


# -- notifications


@pytest.mark.parametrize(
    ("programs", "shown"),
    [
        (["osascript"], "by osascript if none has appeared, allow notifications of Script Editor: open"),
        (
            ["osascript", "terminal-notifier"],
            "by terminal-notifier if none has appeared, allow notifications of terminal-notifier: ",
        ),
        ([], "not shown a test notification: see the status line"),
    ],
)
def test_setup_shows_one_and_says_how_to_allow_more(programs: list[str], shown: str) -> None:
    with Mac() as mac:
        played = Programs(mac.home / "bin")
        for name in programs:
            played.install(name)
        output = mac.good("setup", "--yes", "--no-aws", "--no-test")
        assert shown in " ".join(output.split())
        assert len(played.calls) == bool(programs)
        assert "Nothing to do" in mac.good("setup", "--yes", "--no-aws", "--no-test")
        assert len(played.calls) == bool(programs)


# -- what doctor says of a Mac


def test_a_fresh_installation_is_private_and_notes_a_protected_folder() -> None:
    with Mac() as mac:
        (mac.home / "Documents").mkdir()
        ca = mac.home / "Documents" / "ca.pem"
        ca.write_text("")
        mac.good("install")
        found = mac.ctl("doctor", environ={"CLAUDE_GATEWAY_NETWORK_CA_FILE": str(ca)}).stdout
        assert "ok    permissions    private files are private" in found
        assert f"[network] ca_file is in ~/Documents: {ca}" in found
