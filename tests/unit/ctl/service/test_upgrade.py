"""What `upgrade` says: where it cannot, and why a program that it ran has failed."""

import time
from pathlib import Path

import pytest

from claude_gatewayd.ctl.service import virtualenvs
from claude_gatewayd.ctl.service.upgrade import in_place, other_ctl
from claude_gatewayd.ctl.service.virtualenvs import reason
from claude_gatewayd.errors import GatewayError


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


def test_a_way_to_the_new_ctl_that_also_leads_back(tmp_path: Path) -> None:
    """`current` may lead to any of these installations: a program of theirs that leads to `current` is lost."""
    for name in ("old", "new"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin/claude-gatewayctl").touch()
    link, mine = tmp_path / "current", tmp_path / "mine"
    link.symlink_to(tmp_path / "new")
    mine.symlink_to(tmp_path / "old/bin/claude-gatewayctl")
    assert other_ctl(None, link) == ""
    assert other_ctl(str(tmp_path / "new/bin/claude-gatewayctl"), link) == ""
    assert other_ctl(str(mine), link).endswith(f": ln -sf {link}/bin/claude-gatewayctl {mine}")
    assert other_ctl(str(tmp_path / "old/bin/claude-gatewayctl"), link).endswith(f": export PATH={link}/bin:$PATH")


def test_what_takes_too_long_is_ended_with_all_that_it_has_started() -> None:
    """A child of it holds the pipe open, too."""
    begun = time.monotonic()
    with pytest.raises(GatewayError, match=r"cannot try: it takes more than 0.5 s"):
        virtualenvs.run(["/bin/sh", "-c", "sleep 30 & wait"], "Trying", "try", 0.5)
    assert time.monotonic() - begun < 15
