"""Under a real, unprivileged user manager, and under load: what each event costs. `pytest -s` prints the table."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).parents[3]
LAUNCHER = REPOSITORY / "tests/support/with-user-systemd"
CANNOT = 77
COLUMNS = (
    "requests",
    "failed",
    "refused",
    "reset",
    "cut",
    "silent",
    "not_200",
    "slowest",
    "noticed",
    "seconds",
    "pace",
)

Reports = dict[str, dict[str, Any]]


def play(scene: str, *, within: float = 220, **environ: str) -> Reports:
    """Return the reports of a scene, by event. Skips where there can be no user manager."""
    done = subprocess.run(
        [str(LAUNCHER), "--", sys.executable, "-m", "tests.scenarios.lifecycle.systemd_scene", scene],
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "W_BIND": str(REPOSITORY),
            "W_ENV": " ".join(f"{name}={value}" for name, value in environ.items()),
        },
        capture_output=True, text=True, timeout=within, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    if done.returncode == CANNOT:
        pytest.skip(done.stderr.strip().rpartition("\n")[2])
    reports: Reports = {}
    for line in done.stdout.splitlines():
        report = json.loads(line)
        reports[report.pop("event")] = report
    print(table(reports))
    assert done.returncode == 0, f"{done.stderr}\n{reports.get('journal', {}).get('text')}"
    return reports


def table(reports: Reports) -> str:
    """Return the events that went on under load."""
    rows: list[tuple[str, ...]] = [("event", *COLUMNS)]
    for event, report in reports.items():
        if "requests" in report:
            cells = (report.get(column, "") for column in COLUMNS)
            rows.append((event, *(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n" + "\n".join(
        "  ".join(cell.ljust(width) if not index else cell.rjust(width) for index, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    )


def assert_unnoticed(report: dict[str, Any]) -> None:
    """See that nothing was lost, and nobody waited."""
    assert report["requests"] > 100
    assert report["failed"] == 0
    assert report["closed_while_idle"] == 0
    assert report["slowest"] < 0.5 * report["pace"]


@pytest.fixture(scope="module")
def life() -> Reports:
    return play("life")


GENTLE = (
    "nothing",
    "reload",
    "broken reload",
    "upgrade in place",
    "restart",
    "restart into a broken build",
    "its mending",
    "restart into a broken supervisor",
    "the mending of that",
    "restart into the sandbox",
    "SIGTERM in the sandbox",
)


@pytest.mark.parametrize("event", GENTLE)
def test_nobody_notices(life: Reports, event: str) -> None:
    if "sandbox" in event and "why_not" in life["sandbox"]:
        pytest.skip(life["sandbox"]["why_not"])
    assert_unnoticed(life[event])


def test_every_stream_that_is_open_meanwhile_is_whole(life: Reports) -> None:
    assert life["open streams"] == {"streams": 3, "whole": 3}


def test_what_the_service_manager_is_told(life: Reports) -> None:
    assert life["reload"]["status"] == 0
    assert life["broken reload"]["status"] == 1
    assert life["upgrade in place"]["status"] == 0
    assert life["upgrade in place"]["same_pid"]
    assert life["restart"]["status"] == 0
    assert not life["restart"]["same_pid"]
    broken = life["restart into a broken build"]
    assert (broken["status"], broken["state"], broken["predecessors"]) == (0, "waiting", 1)
    assert "worker: ended with status 1" in broken["health"]
    assert "the worker before it serves on" in broken["unit"]
    assert broken["text"].startswith("waiting  http://127.0.0.1:47000 ")
    assert "predecessor  the worker from before the restart keeps serving, pid " in broken["text"]


def test_a_start_answers_all_that_came_before_it(life: Reports) -> None:
    """The socket is there, and the service comes when the first connection does."""
    for event in ("start", "stop, and activation"):
        assert life[event]["status"] == 0
        assert life[event]["failed"] == 0
        assert life[event]["slowest"] < 5 * life[event]["pace"]


@pytest.mark.parametrize("event", ["kill -9 worker", "kill -9 supervisor", "hung loop"])
def test_only_what_the_dead_one_had_is_lost(life: Reports, event: str) -> None:
    report = life[event]
    assert (report["refused"], report["not_200"], report["silent"]) == (0, 0, 0)
    assert report["failed"] <= 8 + 40 + 8, "more than it can have had: kept connections, and new ones of a moment"
    limit = 1.25 + 0.75 * report["pace"]  # a second of silence, and the start of another
    assert report["slowest"] < limit, "whoever came meanwhile"
    assert report["noticed"] < limit


def test_the_stack_of_a_hung_loop_is_in_the_journal(life: Reports) -> None:
    text = life["journal"]["text"]
    assert "is silent: another one stands in" in text
    assert "(most recent call first)" in text
    assert "in _hang_here" in text
    assert "in _hang_here" not in life["journal"]["errors"]
    assert "has been silent for 10 s: ending it" in life["journal"]["errors"]


def test_a_broken_configuration_is_told_until_it_is_mended(life: Reports) -> None:
    report = life["broken start"]
    assert (report["status"], report["mended"]) == (0, 0)
    assert report["not_200"] > 0
    assert report["failed"] == report["not_200"], "answered, and not refused"
    assert report["served"]
    assert "[listen] prot: is not a known key" in report["unit"]


def test_a_stopped_socket_is_closed_also_by_those_who_serve_on(life: Reports) -> None:
    assert life["closed"] == {"before": True, "whole": True}


def test_a_restart_without_a_bus_waits_for_what_is_under_way(life: Reports) -> None:
    assert life["no bus"] == {"status": 200, "whole": True, "same_pid": False}


def test_the_units_are_in_order(life: Reports) -> None:
    assert life["verify"] == {"status": 0, "output": ""}
    assert life["security"]["exposure"] <= 9.7  # as docs/service.md says, and why
    if "why_not" in life["sandbox"]:
        pytest.skip(life["sandbox"]["why_not"])
    assert life["sandbox"]["exposure"] <= 2.5


def test_an_upgrade_with_two_wheels_and_a_broken_one() -> None:
    reports = play("upgrade")
    for event in (
        "upgrade",
        "upgrade to one that cannot serve",
        "upgrade to one that is broken",
        "rollback",
        "forth again",
        "restart",
        "install by the one before",
    ):
        assert_unnoticed(reports[event])
    assert reports["install"]["status"] == 0, reports["install"]["out"]
    assert reports["open streams"] == {"streams": 3, "whole": 3}

    good = reports["upgrade"]
    assert (good["status"], good["version"], good["same_pid"]) == (0, "0.2.0", True)
    assert good["out"].startswith("Upgraded from 0.1.1 to 0.2.0 in ")
    assert good["err"] == ""
    assert "Your claude-gatewayctl is still the previous version. To use the new one: ln -sf " in good["out"]

    unfit = reports["upgrade to one that cannot serve"]
    assert (unfit["status"], unfit["out"], unfit["version"]) == (1, "", "0.2.0")
    assert "Not upgraded: 0.3.0 could not serve; 0.2.0 keeps serving:\n  worker: ended with status 1" in unfit["err"]

    broken = reports["upgrade to one that is broken"]
    assert (broken["status"], broken["out"], broken["version"]) == (1, "", "0.2.0")
    assert "ImportError: broken" in broken["err"]
    assert "Traceback" not in broken["err"]
    assert "File " not in broken["err"]

    assert (reports["rollback"]["status"], reports["rollback"]["same_pid"]) == (0, True)
    assert reports["rollback"]["out"].startswith("Rolled back from 0.2.0 to 0.1.1 in ")
    assert reports["rollback"]["version"] == "0.1.1"
    assert (reports["forth again"]["status"], reports["forth again"]["version"]) == (0, "0.2.0")
    assert (reports["restart"]["status"], reports["restart"]["version"]) == (0, "0.2.0")
    assert reports["restart"]["err"] == "", "that is the service's version, though not the ctl's"
    before = reports["install by the one before"]
    assert (before["status"], before["version"], before["same_pid"]) == (0, "0.1.1", False)
    assert "(to go back: claude-gatewayctl upgrade --rollback)" in before["out"]
    assert reports["kept"] == {"versions": 1, "back": True}, "those that were refused are removed"


def test_a_generation_of_two() -> None:
    reports = play("workers")
    for event in ("reload of two", "upgrade of two in place", "restart of two"):
        assert_unnoticed(reports[event])
        assert reports[event]["status"] == 0
    assert [reports[event]["workers"] for event in ("reload of two", "upgrade of two in place")] == [2, 2]
    assert (reports["upgrade of two in place"]["same_pid"], reports["restart of two"]["predecessors"]) == (True, 0)
    assert reports["open streams"] == {"streams": 4, "whole": 4}
    assert reports["kill -9 one of two"]["refused"] == 0
    assert reports["stop of two"] == {"streams": 4, "whole": 4}
    assert "Traceback" not in reports["journal"]["text"]


def test_hand_overs_between_workers_that_have_litellm() -> None:
    reports = play("litellm")
    for event in ("reload with LiteLLM", "restart with LiteLLM"):
        assert_unnoticed(reports[event])
        assert reports[event]["status"] == 0
        assert reports[event]["bedrock"], "LiteLLM is loaded before the hand-over"
        print(f"{event}: {reports[event]['memory']} MiB")
    assert reports["open streams"] == {"streams": 3, "whole": 3}
    assert reports["unit"]["text"].startswith("Anthropic ok, Bedrock ")


@pytest.mark.skipif("OTHER_WHEEL" not in os.environ, reason="needs the wheel of another version, in $OTHER_WHEEL")
@pytest.mark.timeout(950)
@pytest.mark.parametrize("scene", ["between", "between-litellm"])
def test_from_another_version_to_this_one_and_back(scene: str) -> None:
    reports = play(scene, within=900, OTHER_WHEEL=os.environ["OTHER_WHEEL"])
    assert reports.pop("open streams") == {"streams": 3, "whole": 3}
    assert reports.pop("install")["status"] == 0
    del reports["journal"]
    for event, report in reports.items():
        assert set(report["status"]) == {0}, f"{event}: {report['out']}"
        assert (report["version"] == "99.0.0") == (event not in BACK), event
        assert_unnoticed(report)


BACK = ("rollback by the newer ctl", "rollback by the older ctl", "back in place", "back in place, and restart")
