"""What systemd says of us."""

import json

import pytest

from claude_gatewayd.supervisor.workers import scope

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
    assert scope.unit_of(cgroup) == expected


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
    assert scope.job_in(answer, UNIT) == expected
