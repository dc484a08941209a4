import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.damage import damage, set_aside
from claude_gatewayd.ledger.maintenance.migrate import migrate
from tests.support.usage_records import put, usage_record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger with rows, all of them in the file itself."""
    file = tmp_path / "ledger.sqlite3"
    migrate(Database(file=file))
    put(Database(file=file), [usage_record(3600.0 * number) for number in range(500)])
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


def overwrite(file: Path, start: int, count: int) -> None:
    with file.open("r+b") as out:
        out.seek(start)
        out.write(b"\xa5" * count)


def test_a_whole_file(file: Path) -> None:
    assert damage(file, 1.0) == ""
    assert set_aside(file, 1.0) is None
    assert file.exists()


@pytest.mark.parametrize(("start", "count"), [(0, 100), (20480, 8192), (4096 * 9, 4096)])
def test_a_damaged_file_is_set_aside_with_what_belongs_to_it(file: Path, start: int, count: int) -> None:
    overwrite(file, start, count)
    file.with_name("ledger.sqlite3-wal").write_bytes(b"x")
    assert damage(file, 1.0)
    aside = set_aside(file, 1.0)
    assert aside is not None
    assert aside.name.startswith("ledger.sqlite3.corrupt-2")
    assert {path.name for path in file.parent.iterdir()} >= {aside.name, f"{aside.name}-wal"}
    assert not file.exists()
    assert not file.with_name("ledger.sqlite3-wal").exists()


def test_a_file_cut_short(file: Path) -> None:
    with file.open("r+b") as out:
        out.truncate(file.stat().st_size // 2)
    assert damage(file, 1.0)


def test_what_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        damage(tmp_path / "missing", 1.0)


def test_several_set_it_aside_once(file: Path) -> None:
    overwrite(file, 0, 100)
    together = threading.Barrier(4)

    def one() -> Path | None:
        together.wait()
        return set_aside(file, 1.0)

    with ThreadPoolExecutor(4) as pool:
        found = [done.result() for done in [pool.submit(one) for _ in range(4)]]
    assert len([path for path in found if path]) == 1


def test_the_last_three_are_kept(file: Path) -> None:
    for number in range(5):
        old = file.with_name(f"ledger.sqlite3.corrupt-2020010{number}-000000")
        old.touch()
        old.with_name(f"{old.name}-wal").touch()
    overwrite(file, 0, 100)
    aside = set_aside(file, 1.0)
    assert aside is not None
    left = sorted(path.name for path in file.parent.glob("ledger.sqlite3.corrupt-*") if not path.name.endswith("-shm"))
    names = ["ledger.sqlite3.corrupt-20200103-000000", "ledger.sqlite3.corrupt-20200104-000000"]
    assert left == [*(f"{name}{end}" for name in names for end in ("", "-wal")), aside.name]
