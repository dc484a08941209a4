"""Rows that wait, over several files: a bound for all of them, and what others have left."""

import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.spill import Spill
from tests.unit.worker.ledger.fake_database import row, rows


def all_of(spill: Spill, count: int = 7) -> list[UsageRecord]:
    found: list[UsageRecord] = []
    while some := spill.first(count):
        found += some
        spill.drop_first()
    return found


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_rows_come_back_once_and_the_file_goes(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    assert spill.append(rows(500)) == 500
    assert spill.rows == 500
    assert all_of(spill) == rows(500)
    assert spill.rows == 0
    assert list(tmp_path.iterdir()) == []
    assert spill.append(rows(2)) == 2  # it is used again
    assert all_of(spill) == rows(2)


def test_a_directory_that_is_removed_is_made_anew_and_no_row_is_lost(tmp_path: Path) -> None:
    """Else all that comes later would go into a file that has no name, and be lost with the process."""
    spill = Spill(tmp_path / "waiting")
    spill.append(rows(3))
    assert spill.first(2) == rows(2)
    shutil.rmtree(tmp_path / "waiting")
    spill.append(rows(3, 3))
    [file] = (tmp_path / "waiting").iterdir()
    assert file.read_bytes().count(b"\n") == 3
    spill.drop_first()
    assert all_of(spill) == rows(4, 2)
    assert list((tmp_path / "waiting").iterdir()) == []


def test_rows_may_be_added_while_others_are_read(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    spill.append(rows(3))
    assert spill.first(2) == rows(2)
    spill.append(rows(3, 3))
    spill.drop_first()
    assert all_of(spill) == rows(4, 2)


def test_what_others_have_left_comes_first(tmp_path: Path) -> None:
    for start in (0, 10):
        other = Spill(tmp_path)
        other.append(rows(10, start))
        other.close()
    alive = Spill(tmp_path)
    alive.append(rows(5, 100))
    spill = Spill(tmp_path)
    spill.append(rows(10, 20))
    spill.adopt()
    assert spill.rows == 30
    assert [one.id for one in all_of(spill)] == [one.id for one in rows(30)]
    assert len(list(tmp_path.iterdir())) == 1, "the file of the one that lives"
    alive.close()
    spill.adopt()
    assert all_of(spill) == rows(5, 100)


def test_what_was_replayed_in_part_is_replayed_again(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    spill.append(rows(10))
    assert spill.first(5) == rows(5)
    spill.drop_first()
    spill.close()
    heir = Spill(tmp_path)
    heir.adopt()
    assert all_of(heir) == rows(10), "the database knows which it has"


def test_all_files_together_have_a_bound(tmp_path: Path) -> None:
    other = Spill(tmp_path, 300_000)
    room = other.append(rows(1000))
    assert 0 < room < 1000
    spill = Spill(tmp_path, 300_000)
    assert spill.append(rows(200)) == 0
    assert str(tmp_path) in spill.why
    assert all_of(other) == rows(room)
    assert spill.append(rows(200)) == 200
    assert spill.why == ""


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    with files_up_to(300_000):
        room = spill.append(rows(1000))
        assert 0 < room < 1000
        assert "File too large" in spill.why
    assert spill.append(rows(5, 2000)) == 5
    assert all_of(spill) == rows(room) + rows(5, 2000)
    assert spill.corrupt == 0


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    spill = Spill(tmp_path / "taken")
    assert spill.append(rows(1)) == 0
    assert spill.why == f"cannot write to {tmp_path / 'taken'}: File exists"
    spill.adopt()
    assert spill.first(1) == []


def test_a_row_that_not_even_json_takes_is_counted(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    assert spill.append([row(0), row(1, project="\ud800"), row(2)]) == 3
    assert [one.id for one in all_of(spill)] == [row(0).id, row(2).id]
    assert spill.corrupt == 1
