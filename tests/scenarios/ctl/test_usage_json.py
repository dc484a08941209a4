"""docs/usage.md: every field that `usage --json` has is in it, with its type, and no other; and its CSV's columns."""

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.ctl import used
from tests.support.daemon import ROOT, Daemon

PAGE = (ROOT / "docs" / "usage.md").read_text().partition("\n## JSON\n")[2].partition("\n## CSV\n")[0]
ROWS = {row[1]: row[2].strip() for row in re.finditer(r"^\| `([^`]+)` \| ([^|]+) \|.*\|$", PAGE, re.MULTILINE)}
KINDS = {str: "string", bool: "bool", int: "int", float: "number", type(None): "null", dict: "object", list: "list"}


@pytest.fixture
def person() -> Iterator[Daemon]:
    """Return what would be a daemon, which does not run, with a ledger."""
    person = Daemon(environ={"TZ": "Europe/Berlin"})
    used.make(person.home / "s" / "claude-gateway" / "ledger.sqlite3")
    yield person
    person.close()


def usage(person: Daemon, *more: str) -> str:
    done = person.ctl("usage", "--since", "2026-10-24", "--until", "2026-10-27", *more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, type) of each field, as the page spells them."""
    if isinstance(value, list):
        texts = bool(value) and isinstance(value[0], str)
        yield f"{path}[]", "list of string" if texts else "list"
        for inner in [] if texts else value:
            yield from fields(inner, f"{path}[]")
    elif isinstance(value, dict):
        if path and not path.endswith("[]"):
            yield path, "object"
        for name, inner in value.items():
            yield from fields(inner, f"{path}.{name}" if path else name)
    else:
        yield path, KINDS[type(value)]


def check(report: dict[str, Any]) -> set[str]:
    """Hold a report against the page; return the fields that it has."""
    found = set()
    for path, kind in fields(report):
        path = path if path in ROWS else path.replace("rows[].", "total.")  # a row has the fields of the total
        assert path in ROWS, f"{path} ({kind}) is not in docs/usage.md"
        wanted = ROWS[path].split(", ")
        fits = (
            kind in wanted
            or (kind == "int" and "number" in wanted)
            or (kind == "list" and wanted[0].startswith("list"))
        )
        assert fits, f"{path} is {kind}, docs/usage.md says {ROWS[path]}"
        found.add(path)
    return found


def test_every_field_is_documented_and_each_documented_one_is_there(person: Daemon) -> None:
    seen = set()
    for by in ("day", "hour", "model", "upstream", "session", "project", "gateway"):
        report = json.loads(usage(person, "--json", "--by", by))
        assert report["by"] == by
        assert report["total"]["requests"] == 100
        seen |= check(report)
    seen |= check(json.loads(person.ctl("usage", "--json", "--since", "2025", "--until", "2025").stdout))
    assert ROWS.keys() - seen == set(), "documented, and never there"


def test_what_it_says(person: Daemon) -> None:
    report = json.loads(usage(person, "--json"))
    rows = {row["key"]: row for row in report["rows"]}
    assert {key: row["requests"] for key, row in rows.items()} == {"2026-10-25": 49, "2026-10-26": 48, "2026-10-27": 3}
    assert rows["2026-10-25"]["end"] - rows["2026-10-25"]["begin"] == 25 * 3600
    total = report["total"]
    assert total["subscription"] + total["billed"] == pytest.approx(0.125 * 97)
    assert (total["fallbacks"], total["fallback_cost"], total["unpriced"], total["failures"]) == (10, 1.25, 3, 1)
    assert report["unpriced_models"] == ["mine"]
    assert [(one["reason"], one["requests"]) for one in report["fallbacks"]] == [("limit", 5), ("overloaded", 5)]
    assert report["zone"] == "CET"
    hours = json.loads(usage(person, "--json", "--by", "hour"))["rows"]
    assert [row["key"] for row in hours[2:4]] == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]


def test_the_columns_of_the_csv_are_those_of_the_page(person: Daemon) -> None:
    header, *rows = csv.reader(io.StringIO(usage(person, "--csv", "--by", "project")))
    sums = [path.removeprefix("total.") for path in ROWS if path.startswith("total.")]
    assert header == ["project", "begin", "end", "session_project", *sums]
    assert sorted(row[0] for row in rows) == ["", "thesis", "website"]
    assert sum(int(row[4]) for row in rows) == 100
