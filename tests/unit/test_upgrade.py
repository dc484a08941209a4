"""What `upgrade` says: where it cannot, and why a program that it ran has failed."""

import pytest

from claude_gatewayd.ctl.upgrade import in_place
from claude_gatewayd.ctl.versions import reason


@pytest.mark.parametrize(
    ("prefix", "editable", "expected"),
    [
        ("/home/alice/src/gateway/.venv", True, "git pull"),
        ("/home/alice/.local/pipx/venvs/claude-gatewayd", False, "pipx upgrade claude-gatewayd"),
        ("/home/alice/.local/share/uv/tools/claude-gatewayd", False, "uv tool upgrade claude-gatewayd"),
        ("/home/alice/v", False, "/home/alice/v/bin/python -m pip install --upgrade claude-gatewayd"),
        ("/home/al ice/v", False, "'/home/al ice/v'/bin/python -m pip install --upgrade claude-gatewayd"),
    ],
)
def test_the_command_that_upgrades_in_place(prefix: str, editable: bool, expected: str) -> None:
    assert in_place(prefix, editable=editable) == f"{expected} && claude-gatewayctl reload"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Collecting x", "ERROR: Could not find it", "ERROR: None matches", "note: more"],
         "Could not find it\n  None matches"),
        (["Traceback (most recent call last):", '  File "x.py", line 1', "ImportError: broken", ""],
         "ImportError: broken"),
        (["Cannot start:", "  [listen] prot: is not a known key", '    did you mean "port"?'],
         'Cannot start:\n    [listen] prot: is not a known key\n      did you mean "port"?'),
        (["", "  "], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_why_a_program_has_failed(lines: list[str], expected: str) -> None:
    assert reason(lines) == expected
