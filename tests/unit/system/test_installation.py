"""What a path would start now, and whether that is what runs."""

import os
import shutil
from importlib import metadata
from pathlib import Path

import pytest

import claude_gatewayd
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import installation

MINE = "/opt/mine/bin/python"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("#!/home/alice/venv/bin/python\nimport sys\n", "/home/alice/venv/bin/python"),
        ("#!/home/alice/venv/bin/python3.13 -I\n", "/home/alice/venv/bin/python3.13"),
        ("#!/bin/sh\n'''exec' \"/home/al ice/venv/bin/python\" \"$0\" \"$@\"\n' '''\n", "/home/al ice/venv/bin/python"),
        ("#!/bin/sh\n'''exec' /long/bin/python3 \"$0\" \"$@\"\n' '''\n", "/long/bin/python3"),
        ("#!/usr/bin/env python3\n", MINE),  # which one that is, the caller's PATH says, and ours knows
        ("#!/bin/sh\nexec something\n", MINE),
        ("#!\n", MINE),
        ("", MINE),
        ("\x7fELF", MINE),
    ],
)
def test_the_interpreter_of_a_script(tmp_path: Path, script: str, expected: str) -> None:
    path = tmp_path / "claude-gatewayd"
    path.write_text(script)
    assert installation.interpreter(["/whatever/python", str(path), "run"], MINE) == expected


@pytest.mark.parametrize(
    "command", [["python", "-m", "claude_gatewayd.supervisor.main"], ["python"], [], ["python", "./claude-gatewayd"]]
)
def test_without_a_path_that_stays_it_is_our_own(command: list[str]) -> None:
    assert installation.interpreter(command, MINE) == MINE


def test_a_link_is_followed_anew_each_time(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "claude-gatewayd").write_text(f"#!/opt/{version}/bin/python\n")
    link = tmp_path / "current"
    command = ["/opt/1/bin/python", str(link / "claude-gatewayd")]
    link.symlink_to("1")
    assert installation.interpreter(command, MINE) == "/opt/1/bin/python"
    link.unlink()
    link.symlink_to("2")
    assert installation.interpreter(command, MINE) == "/opt/2/bin/python"
    link.unlink()
    with pytest.raises(GatewayError, match=r"cannot start from .*: No such file") as refusal:
        installation.interpreter(command, MINE)
    assert refusal.value.hint.endswith(command[1])


def test_the_mark_changes_with_any_file_of_the_code(tmp_path: Path) -> None:
    package = tmp_path / "claude_gatewayd"
    shutil.copytree(Path(claude_gatewayd.__file__).parent, package)
    seen = {installation.fingerprint(package)}
    assert installation.fingerprint(package) in seen
    assert installation.fingerprint() not in seen, "another place is another installation"

    status = (package / "ctl/terminal/text.py").stat()
    os.utime(package / "ctl/terminal/text.py", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    seen.add(installation.fingerprint(package))
    (package / "ipc/wire.py").unlink()
    seen.add(installation.fingerprint(package))
    (package / "new.py").touch()
    seen.add(installation.fingerprint(package))
    assert len(seen) == 4

    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__/new.cpython-311.pyc").touch()
    assert installation.fingerprint(package) in seen, "what Python writes there is no change"
    shutil.rmtree(package)
    assert installation.fingerprint(package) == ""


def test_the_version_of_a_package_is_that_of_its_metadata() -> None:
    for package in ("litellm", "msgspec", "uvloop"):
        assert installation.version_of(package) == metadata.version(package)
    assert installation.version_of("litell") == ""
    assert installation.version_of("no-such-package") == ""
