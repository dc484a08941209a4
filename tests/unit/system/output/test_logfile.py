"""Our own log file: rotated while several processes write, and read by line and by time."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system.output import logfile
from claude_gatewayd.system.output.logfile import RotatedFile

_WRITER = """
import logging, pathlib, sys
from claude_gatewayd.system.output.logfile import RotatedFile
handler = RotatedFile(pathlib.Path(sys.argv[1]), 20_000)
for number in range(1000):
    handler.emit(logging.LogRecord("x", 20, "", 0, f"2026-11-25 10:00:00 {sys.argv[2]} {number:04}", (), None))
"""


def test_several_processes_lose_nothing_and_keep_little(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "a.log"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(file), name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = sorted(file.parent.iterdir())
    assert [one.name for one in files] == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in files)
    assert all(one.stat().st_size < 21_000 for one in files)
    lines = logfile.read(file, None, "").splitlines()
    assert all(len(line) == 26 for line in lines), "no line is cut by another"
    for name in "abc":
        numbers = [int(line[-4:]) for line in lines if f" {name} " in line]
        if numbers:
            assert len(numbers) == len(set(numbers))
            assert numbers[-1] == 999


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", 20, "", 0, text, (), None)


def test_reading(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    handler = RotatedFile(file, 60)
    for text in (
        "2026-11-24 23:00:00 one",
        "2026-11-25 09:00:00 two",
        "2026-11-25 10:00:00 three\nTraceback",
        "2026-11-25 11:00:00 four",
    ):
        handler.emit(record(text))
    handler.close()
    assert file.with_name("a.log.1").exists()
    everything = logfile.read(file, None, "")
    assert [line.rpartition(" ")[2] for line in everything.splitlines()] == ["one", "two", "three", "Traceback", "four"]
    assert logfile.read(file, 1, "") == "2026-11-25 11:00:00 four\n"
    assert logfile.read(file, 0, "") == ""
    assert logfile.read(file, None, "2026-11-25 09:30:00") == "\n".join(everything.splitlines()[2:]) + "\n"
    assert logfile.read(tmp_path / "none", None, "") == ""


NOW = time.mktime((2026, 11, 25, 12, 0, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2026-11-25 00:00:00"),
        ("09:30", "2026-11-25 09:30:00"),
        ("9:30:15", "2026-11-25 09:30:15"),
        ("2026-11-24", "2026-11-24 00:00:00"),
        ("2026-11-24 09:30", "2026-11-24 09:30:00"),
        ("2h ago", "2026-11-25 10:00:00"),
        ("2 hours ago", "2026-11-25 10:00:00"),
        ("-30min", "2026-11-25 11:30:00"),
        ("1 day ago", "2026-11-24 12:00:00"),
    ],
)
def test_a_time(text: str, expected: str) -> None:
    assert logfile.parse_time(text, NOW) == expected


@pytest.mark.parametrize("text", ["noon", "25:00", "2026-13-01", ""])
def test_no_time(text: str) -> None:
    with pytest.raises(GatewayError, match="cannot read the time"):
        logfile.parse_time(text, NOW)


def test_what_nobody_rotates_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "launchd.log"
    logfile.truncate(file)
    file.write_text("x" * 11)
    logfile.truncate(file, 11)
    assert file.stat().st_size == 11
    logfile.truncate(file, 10)
    assert file.stat().st_size == 0
