"""Rows as CSV and as JSON lines, a chunk at a time."""

import csv
import io
import json
from pathlib import Path

import pytest

from claude_gatewayd.ctl.ledger import export
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support.usage_records import put, usage_record

NOW = 1_800_000_000.0


def written(database: Database, form: export.Form, since: float = 0.0, until: float = 1e11) -> str:
    out = io.StringIO()
    export.write(out, open_for_reading(database), form, since, until, lambda _: None)
    return out.getvalue()


@pytest.mark.parametrize("chunk", [1, 3, 2000])
def test_all_rows_by_time_in_both_forms(database: Database, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_CHUNK", chunk)
    migrate(database)
    records = [usage_record(NOW + number // 2, project='a "b",\nc', cost=None) for number in range(7)]  # some at once
    put(database, records[::-1])
    lines = [json.loads(line) for line in written(database, "json").splitlines()]
    assert [UsageRecord(**line) for line in lines] == records
    rows = list(csv.DictReader(io.StringIO(written(database, "csv"))))
    assert [row["id"] for row in rows] == [record.id for record in records]
    assert rows[0]["project"] == 'a "b",\nc'
    assert rows[0]["cost"] == ""
    assert float(rows[6]["started_at"]) == NOW + 3
    some = [json.loads(line)["started_at"] for line in written(database, "json", NOW + 1, NOW + 3).splitlines()]
    assert some == [NOW + 1, NOW + 1, NOW + 2, NOW + 2]


def test_an_empty_ledger_has_the_names_of_the_columns(database: Database) -> None:
    migrate(database)
    assert written(database, "csv").startswith("id,started_at,gateway,")
    assert written(database, "json") == ""


def test_the_file_is_new_private_and_gone_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with export.new_file(path) as out:
        out.write("x")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(GatewayError, match="it is there already") as raised, export.new_file(path):
        pytest.fail("it was opened")
    assert str(tmp_path / "rows-2.csv") in raised.value.hint
    assert path.read_text() == "x"
    with pytest.raises(KeyboardInterrupt), export.new_file(tmp_path / "half.csv"):
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]
    with pytest.raises(GatewayError, match="cannot write"), export.new_file(tmp_path / "none" / "rows.csv"):
        pytest.fail("it was opened")


@pytest.mark.parametrize(
    ("name", "form"), [("", "csv"), ("a.csv", "csv"), ("a.json", "json"), ("a.jsonl", "json"), ("a.txt", "csv")]
)
def test_the_name_chooses_the_form(name: str, form: str) -> None:
    assert export.form_of(Path(name) if name else None) == form
