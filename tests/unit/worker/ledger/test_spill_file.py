"""Files of rows that wait: whole lines, one owner, and nothing lost but what was torn."""

import os
from pathlib import Path

import msgspec
import pytest

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.spill_file import SpillFile
from tests.unit.worker.ledger.fake_database import row, rows


def lines(records: list[UsageRecord]) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def only(directory: Path) -> Path:
    [path] = directory.iterdir()
    return path


def left_behind(directory: Path, data: bytes) -> Path:
    path = directory / "0-a.jsonl"
    path.write_bytes(data)
    return path


def taken(file: SpillFile, count: int) -> list[UsageRecord]:
    records = file.read(count)
    file.advance()
    return records


def test_rows_come_back_in_order_and_stay_until_they_are_dropped(tmp_path: Path) -> None:
    file = SpillFile.created(tmp_path / "new")
    file.append(lines(rows(3)), 3)
    file.append(lines(rows(2, 3)), 2)
    assert file.read(4) == file.read(4) == rows(4)
    assert file.rows == 5
    file.advance()
    assert (file.rows, file.is_at_end) == (1, False)
    assert taken(file, 4) == rows(1, 4)
    assert (file.rows, file.is_at_end) == (0, True)
    file.close()
    assert list((tmp_path / "new").iterdir()) == []


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    SpillFile.created(tmp_path / "new").append(lines(rows(1)), 1)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert only(tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_file_has_one_owner_at_a_time(tmp_path: Path) -> None:
    file = SpillFile.created(tmp_path)
    file.append(lines(rows(3)), 3)
    assert SpillFile.adopted(only(tmp_path)) is None
    file.close()
    heir = SpillFile.adopted(only(tmp_path))
    assert heir is not None
    assert heir.rows == 3
    assert SpillFile.adopted(only(tmp_path)) is None
    assert taken(heir, 10) == rows(3)
    heir.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_removed_while_it_was_opened_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left_behind(tmp_path, lines(rows(1)))
    real = os.open

    def opened(name: str, *more: int) -> int:
        descriptor = real(name, *more)
        path.unlink()  # by another writer, which has just replayed it
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    assert SpillFile.adopted(path) is None


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    file = SpillFile.adopted(left_behind(tmp_path, lines(rows(3)) + lines([row(3)])[:-20]))
    assert file is not None
    assert file.read(10) == rows(3)
    assert file.advance() == 0
    assert file.read(10) == []
    assert file.advance() == 1
    assert file.is_at_end


@pytest.mark.parametrize(
    "garbage", [b"\x00\xff{\n", b"{}\n", b"[1]\n", b'{"id": 1}\n', b"\n", b"[" * 5000 + b"\n", b"\r\r\n"]
)
def test_corrupt_lines_are_passed_over_and_counted(tmp_path: Path, garbage: bytes) -> None:
    file = SpillFile.adopted(left_behind(tmp_path, lines(rows(2)) + garbage + lines(rows(2, 2))))
    assert file is not None
    assert file.read(10) == rows(4)
    assert file.advance() == 1
    assert file.is_at_end


def test_a_row_is_read_whole_however_long_it_is(tmp_path: Path) -> None:
    long = [row(number, project="p" * 100_000) for number in range(8)]
    file = SpillFile.adopted(left_behind(tmp_path, lines(long)))
    assert file is not None
    found: list[UsageRecord] = []
    while more := taken(file, 5):
        found += more
    assert found == long


def test_what_has_no_end_of_a_line_does_not_go_on_for_ever(tmp_path: Path) -> None:
    file = SpillFile.adopted(left_behind(tmp_path, b"\x00" * 3_000_000))
    assert file is not None
    assert file.read(10) == []
    file.advance()
    assert file.is_at_end


def test_what_is_no_file_is_not_taken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    (tmp_path / "real").write_bytes(lines(rows(1)))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("pipe", "directory", "link", "missing"):
        assert SpillFile.adopted(tmp_path / name) is None
