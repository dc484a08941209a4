"""Starts that fail, as the daemon sees them: what the script that starts it has counted."""

from pathlib import Path

import pytest

from claude_gatewayd import paths
from claude_gatewayd.service import starts


def _environ(home: Path, count: int | None, **more: str) -> dict[str, str]:
    environ = {"HOME": str(home), "XDG_DATA_HOME": str(home), **more}
    file = paths.failed_starts_file(environ)
    file.parent.mkdir(parents=True, exist_ok=True)
    if count is not None:
        file.write_text(f"{count}\n")
    return environ | {"CLAUDE_GATEWAYD_FAILED_STARTS": str(file)}


@pytest.mark.parametrize(
    ("count", "more", "expected"),
    [
        (2, {"NOTIFY_SOCKET": "/run/n"}, True),
        (1, {"NOTIFY_SOCKET": "/run/n"}, False),  # this start is the first: it may be a unit without a socket
        (None, {"NOTIFY_SOCKET": "/run/n"}, False),
        (2, {}, False),  # launchd
    ],
)
def test_systemd_is_to_hold_the_port(tmp_path: Path, count: int | None, more: dict[str, str], expected: bool) -> None:
    environ = _environ(tmp_path, count, **more)
    assert starts.was_without_socket(environ) is expected
    del environ["CLAUDE_GATEWAYD_FAILED_STARTS"]
    assert not starts.was_without_socket(environ), "a unit of the person's own"


def test_several_failures_are_one_notification(tmp_path: Path) -> None:
    environ = _environ(tmp_path, 1)
    script = paths.start_script(environ)
    script.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/shown\n')
    script.chmod(0o755)
    starts.notify("Title", "why", environ)
    _environ(tmp_path, 2)
    starts.notify("Title", "why", environ)
    starts.notify("Title", "why", {**environ, "XDG_DATA_HOME": "/nowhere"})  # no script: no error
    assert (tmp_path / "shown").read_text() == "--notify Title why\n"
