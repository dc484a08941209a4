"""The upkeep's child: started with what it needs, limited, and ended."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.worker.ledger import upkeep
from claude_gatewayd.worker.ledger.upkeep import Upkeep
from tests.support.daemon import wait_until


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a program that runs in the child's place; as it is, it hangs."""
    file = tmp_path / "program.py"
    file.write_text(f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    monkeypatch.setattr(upkeep, "_COMMAND", (sys.executable, "-I", str(file)))
    return file


def made(tmp_path: Path) -> Upkeep:
    return Upkeep(Database(file=tmp_path / "ledger.sqlite3"), 30, os.environ)


def test_the_real_child_makes_the_database(tmp_path: Path) -> None:
    assert made(tmp_path).prepare(is_suspect=False).outcome == "done"
    assert (tmp_path / "ledger.sqlite3").stat().st_mode & 0o777 == 0o600


def test_what_does_not_report_is_tried_later(tmp_path: Path, program: Path) -> None:
    program.write_text("print('no json'); raise SystemExit(3)")
    report = made(tmp_path).prepare(is_suspect=False)
    assert report.outcome == "later"
    assert report.message == "its upkeep has ended without a report, with status 3"


def test_what_hangs_is_killed(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_KILLED_AFTER", 0.0)
    pid = tmp_path / "pid"
    for limit in (1.0, 4.0, 16.0):  # on a slow machine it may not have begun after a second
        monkeypatch.setitem(upkeep._LIMITS, "prepare", limit)
        assert made(tmp_path).prepare(is_suspect=True).outcome == "later"
        if pid.exists():
            break
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_the_end_of_the_worker_ends_it(tmp_path: Path, program: Path) -> None:
    one = made(tmp_path)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(one.prepare(is_suspect=False).outcome))
    thread.start()
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    begun = time.monotonic()
    one.end()
    thread.join(5.0)
    assert time.monotonic() - begun < 3.0
    assert found == ["later"]
    assert one.prepare(is_suspect=False).message == "the worker ends"


def test_the_password_is_on_no_command_line(tmp_path: Path, program: Path) -> None:
    program.write_text("import sys; open(sys.argv[0] + '.argv', 'w').write(repr(sys.orig_argv)); sys.exit(1)")
    Upkeep(Database(url="postgresql://me:hunter2@127.0.0.1:9/x"), 0, os.environ).prepare(is_suspect=False)
    assert "hunter2" not in Path(f"{program}.argv").read_text()
