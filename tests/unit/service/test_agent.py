import pytest

from claude_gatewayd.service import agent
from claude_gatewayd.service.agent import Printed, Step

RUNS = (
    "x = {\n\tstate = running\n\tpid = 4711\n\tlast exit code = (never exited)\n\tendpoints = {\n\t\tpid = 1\n\t}\n}\n"
)


@pytest.mark.parametrize(
    ("printed", "expected", "ended_by"),
    [
        ("", Printed(loaded=False), ""),
        (RUNS, Printed(loaded=True, pid=4711), ""),
        ("x = {\n\tlast exit code = 0\n}\n", Printed(True, status="0"), ""),
        ("x = {\n\tlast exit code = 78: EX_CONFIG\n}\n", Printed(True, status="78"), "it ends with status 78"),
        (
            "x = {\n\tlast terminating signal = Abort trap: 6\n}\n",
            Printed(True, signal="Abort trap: 6"),
            "it was ended by a signal (Abort trap: 6)",
        ),
        (
            "x = {\n\tlast terminating signal = Killed: 9\n}\n",
            Printed(True, signal="Killed: 9"),
            "it was ended by a signal (Killed: 9)",
        ),
        ("x = {\n\tlast terminating signal = Terminated: 15\n}\n", Printed(True, signal="Terminated: 15"), ""),
        ("what nobody has seen yet", Printed(loaded=True), ""),
    ],
)  # fmt: skip
def test_what_launchctl_prints(printed: str, expected: Printed, ended_by: str) -> None:
    assert agent.parse(printed) == expected
    assert agent.parse(printed).ended_by == ended_by


@pytest.mark.parametrize(
    ("now", "old_pid", "waited", "expected"),
    [
        (Printed(True, pid=8), 7, 0.1, "done"),
        (Printed(True, pid=7), 7, 0.1, "wait"),
        (Printed(True, pid=7), 7, agent.EXITS_WITHIN + 1, "kill"),
        (Printed(loaded=True), 7, 0.5, "wait"),  # KeepAlive will start it
        (Printed(loaded=True), 7, 5.0, "kickstart"),  # it has not
        (Printed(loaded=True), 0, 0.0, "kickstart"),  # there was none to end
        (Printed(loaded=False), 7, 0.1, "bootstrap"),
        (Printed(loaded=False), 0, 0.0, "bootstrap"),
    ],
)
def test_what_comes_next_in_a_restart(now: Printed, old_pid: int, waited: float, expected: Step) -> None:
    assert agent.restart_step(now, old_pid, waited) == expected


@pytest.mark.parametrize(
    ("at_screen", "types", "expected"),
    [
        (True, ["Aqua", "Background"], "gui/501"),
        (True, None, "gui/501"),
        (True, "Background", "user/501"),  # it could not be loaded at the screen
        (False, "Background", "user/501"),
        (False, ["Aqua", "Background"], "user/501"),
    ],
)
def test_the_domain(at_screen: bool, types: object, expected: str) -> None:
    assert agent.domain(501, at_screen=at_screen, session_types=types) == expected


def test_the_session_types() -> None:
    assert agent.session_types(at_screen=True) == ["Aqua", "Background"]
    assert agent.session_types(at_screen=False) == "Background", "an array may fail with status 5"
