"""Our own log file: rotated while several processes write, and read by line and by time."""

import fcntl
import logging
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system.output import logfile
from claude_gatewayd.system.output.logfile import RotatedFile

linux = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and /proc, which Linux has")

_WRITER = """
import logging, pathlib, sys
from claude_gatewayd.system.output.logfile import RotatedFile
handler = RotatedFile(pathlib.Path(sys.argv[1]), sys.exit, 20_000)
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
    handler = RotatedFile(file, pytest.fail, 60)
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


def vanishes(file: Path) -> None:
    shutil.rmtree(file.parent)


def is_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def is_a_pipe_that_nobody_reads(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def is_on_a_full_disk(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/full")


def has_a_file_for_a_directory(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.touch()


def has_no_room_in_its_directory(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.symlink_to("/proc/self/fdinfo")


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (is_a_directory, "Is a directory"),
        (is_a_pipe_that_nobody_reads, "No such device or address|Device not configured"),
        (has_a_file_for_a_directory, "Not a directory"),
        pytest.param(is_on_a_full_disk, "No space left on device", marks=linux),
        pytest.param(has_no_room_in_its_directory, "No such file or directory|Permission denied", marks=linux),
    ],
)
def test_what_the_file_does_not_take_goes_elsewhere(tmp_path: Path, happens: Callable[[Path], None], why: str) -> None:
    file = tmp_path / "logs" / "a.log"
    elsewhere: list[str] = []
    handler = RotatedFile(file, elsewhere.append)
    handler.emit(record("one"))
    happens(file)
    handler.emit(record("two"))
    handler.emit(record("three"))
    first, last = elsewhere
    assert re.fullmatch(rf"cannot log to {file}: ({why})\ntwo\n", first)
    assert last == "three\n", "the reason is given once"
    blocking = file if os.path.lexists(file) else file.parent
    blocking.rename(tmp_path / "away")
    handler.emit(record("four"))
    assert file.read_text() == "four\n"
    assert len(elsewhere) == 2
    handler.close()


def test_a_directory_that_vanishes_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "a.log"
    handler = RotatedFile(file, pytest.fail)
    for text in ("one", "two"):
        handler.emit(record(text))
        assert file.read_text() == f"{text}\n"
        shutil.rmtree(file.parent)
    assert not file.parent.exists()
    handler.emit(record("three"))
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    handler.close()


def test_a_record_that_cannot_be_formatted(tmp_path: Path) -> None:
    class Evil:
        def __str__(self) -> str:
            raise RuntimeError("no")

    handler = RotatedFile(tmp_path / "a.log", pytest.fail)
    handler.emit(logging.LogRecord("x.y", 20, "", 0, "it is %s", (Evil(),), None))
    handler.emit(logging.LogRecord("x.y", 20, "", 0, "it is %d, %d", (1,), None))
    assert handler._path.read_text().splitlines() == [
        "a record of x.y cannot be formatted: RuntimeError",
        "a record of x.y cannot be formatted: TypeError",
    ]
    handler.close()


def test_a_line_that_was_cut_does_not_run_into_the_next(tmp_path: Path) -> None:
    """As on a full disk: the file may not grow beyond a size, and takes the beginning of a line."""
    elsewhere: list[str] = []
    handler = RotatedFile(tmp_path / "a.log", elsewhere.append)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))  # SIGXFSZ is ignored by Python
    try:
        handler.emit(record("one"))
        handler.emit(record("two, a longer one"))
        handler.emit(record("three"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    handler.emit(record("four"))
    handler.emit(record("five"))
    handler.close()
    assert (tmp_path / "a.log").read_text() == "one\ntwo, a\nfour\nfive\n"
    assert "".join(elsewhere).splitlines()[1:] == ["two, a longer one", "three"], "whole lines go elsewhere"


def test_nobody_waits_for_who_rotates(tmp_path: Path) -> None:
    handler = RotatedFile(tmp_path / "a.log", pytest.fail, 5)
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    for _ in range(3):
        handler.emit(record("a line"))
    os.close(other)
    assert (tmp_path / "a.log").read_text() == "a line\n" * 3
    handler.emit(record("a line"))
    assert [one.name for one in sorted(tmp_path.iterdir())] == ["a.log.1"]
    handler.close()


def test_reading_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.log")
    with pytest.raises(GatewayError, match="it is something else than a file"):
        logfile.read(tmp_path / "a.log", None, "")


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
