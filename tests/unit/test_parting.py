"""What systemd says of us, and what a supervisor leaves for the next one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.supervisor import parting
from claude_gatewayd.supervisor.predecessors import Predecessor, Predecessors

UNIT = "claude-gatewayd.service"
ABOVE = "/user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        (f"0::{ABOVE}/app.slice/{UNIT}\n", UNIT),
        (f"1:name=systemd:{ABOVE}/{UNIT}\n0::/\n", UNIT),
        (f"0::{ABOVE}/app.slice/claude-gatewayd-drain-7.scope\n", ""),
        (f"0::{ABOVE}/app.slice/app-org.kde.konsole-7.scope\n", ""),
        (f"0::/system.slice/{UNIT}\n", ""),  # its manager is not ours to ask
        ("0::/user.slice/user-1000.slice/session-3.scope\n", ""),
        (f"0::{ABOVE}\n", ""),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_the_unit_of_a_process(cgroup: str, expected: str) -> None:
    assert parting.unit_of(cgroup) == expected


def jobs(**kinds: str) -> str:
    """Return what busctl prints of these jobs."""
    rows = [
        [number, name.replace("_", "-").replace("--", "."), kind, "running", f"/job/{number}", "/unit/x"]
        for number, (name, kind) in enumerate(kinds.items())
    ]
    return json.dumps({"type": "a(usssoo)", "data": [rows]})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (jobs(claude_gatewayd__service="restart"), "restart"),
        (jobs(other__service="start", claude_gatewayd__service="stop"), "stop"),
        (jobs(claude_gatewayd__socket="stop"), ""),
        (jobs(), ""),
        (jobs(claude_gatewayd__service="stop", exit__target="start"), "exit"),
        (jobs(claude_gatewayd__service="stop", shutdown__target="start"), "exit"),
    ],
)
def test_the_job_of_a_unit(answer: str, expected: str) -> None:
    assert parting.job_in(answer, UNIT) == expected


def test_a_process_that_only_has_the_number_is_left_alone(tmp_path: Path) -> None:
    """By now it may be any process's. Those that are in the scope are seen in `test_systemd`."""
    file = tmp_path / "predecessors.json"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        Predecessors(file).leave([Predecessor(process.pid, "claude-gatewayd-drain-1.scope", has_engine=True)])
        known = Predecessors(file)
        assert (known.pids, known.have_engine) == ([process.pid], True)
        known.dismiss()
        assert not file.exists()
        Predecessors(file).leave([Predecessor(process.pid, "claude-gatewayd-drain-1.scope", has_engine=True)])
        assert not Predecessors(file)
        assert process.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[7]", '[{"pid": 7}]', '[{"pid": 7, "scope": "x", "other": 1}]', "7"])
def test_a_file_that_is_no_good_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "predecessors.json"
    file.write_text(text)
    assert not Predecessors(file)


def test_a_file_that_cannot_be_written_is_no_reason_to_stay(tmp_path: Path) -> None:
    Predecessors(tmp_path / "gone" / "predecessors.json").leave([Predecessor(1, "x.scope", has_engine=False)])
