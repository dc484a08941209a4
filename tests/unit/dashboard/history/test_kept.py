"""dashboard/history/kept.py: what is over is there for the next process, if the file is one of ours."""

import stat
from pathlib import Path

import msgspec
import pytest

from claude_gatewayd.dashboard.history import kept
from claude_gatewayd.dashboard.history.past import DayUse, KeptDay, past_bins, past_use
from claude_gatewayd.ledger.reports.slices import Cell, FallbackTime

CELL = Cell("opus", "thesis", "bedrock", "aws", "limit", (3, 1, 0, 0, 3, 5, 6, 7, 8, 0.0, 2.5, 0.0, 0.0, 2.5), 2.5, 26)
USE = KeptDay(0.0, 86400.0, DayUse([CELL], [FallbackTime(900.0, 1800.0, 3, 2.5, "limit")]), (3.0, 0.0, 5.0, 6.0, 2.5))
BINS = KeptDay(0.0, 86400.0, {("bedrock", "duration"): {7: 3}}, (3.0, 21.0))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a day of each."""
    file = tmp_path / "ledger-days"
    use, bins = past_use(), past_bins()
    use.keep([USE])
    bins.keep([BINS])
    kept.save(file, use, bins)
    return file


def test_what_was_kept_is_kept_again(file: Path) -> None:
    use, bins = past_use(), past_bins()
    kept.load(file, use, bins)
    assert (use.kept, bins.kept) == ([USE], [BINS])
    assert all(type(a) is type(b) for a, b in zip(use.kept[0].value.cells[0].numbers, CELL.numbers, strict=True))
    assert not use.has_changed


def test_only_its_owner_can_read_it(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("data", [b"", b"{}", b"\xc1", b"x" * 1000, msgspec.msgpack.encode([2, [], []])])
def test_another_file_is_none(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    use, bins = past_use(), past_bins()
    kept.load(file, use, bins)
    assert (use.kept, bins.kept) == ([], [])


def test_one_that_was_cut_is_none(file: Path) -> None:
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        use = past_use()
        kept.load(file, use, past_bins())
        assert use.kept == []


def test_what_is_no_file_is_none_and_what_cannot_be_written_fails_nobody(tmp_path: Path) -> None:
    use, bins = past_use(), past_bins()
    use.keep([USE])
    kept.load(tmp_path, use, bins)
    kept.load(tmp_path / "nothing", use, bins)
    kept.save(tmp_path, use, bins)
    assert use.kept == [USE]
