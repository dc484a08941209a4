"""ctl/usage/as_csv.py: columns are stable, and whatever is in a name is quoted."""

import csv
import io

from claude_gatewayd.ctl.usage import as_csv
from tests.unit.ctl.usage.reports import BERLIN, report

HEADER = (
    "day,begin,end,session_project,requests,failures,aborted,unpriced,fallbacks,input_tokens,output_tokens,cache_read_tokens,"
    "cache_write_tokens,api,aws,other,subscription,fallback_cost,billed,cache_hit_ratio"
)


def test_the_columns() -> None:
    header, first, *_ = as_csv.table(report(), BERLIN).split("\n")
    assert header == HEADER
    assert first == (
        "2026-11-27,2026-11-27T00:00:00+01:00,2026-11-28T00:00:00+01:00,,1234,5,2,0,7,1000,56789,9000000,250000,"
        "1.5,2.25,0.0,40.0,2.0,3.75,0.9728677980758836"
    )


def test_a_spreadsheet_computes_no_name() -> None:
    names = ("=cmd|' /C calc'!A0", "@SUM(A1)")
    read = list(csv.reader(io.StringIO(as_csv.table(report("project", names), BERLIN))))
    assert [row[0] for row in read] == ["project", *(f"'{name}" for name in names)]


def test_names_are_quoted() -> None:
    names = ('a,"b"', "line\nbreak")
    found = list(csv.DictReader(io.StringIO(as_csv.table(report("project", names), BERLIN))))
    assert [(row["project"], row["begin"]) for row in found] == [(name, "") for name in names]
    read = list(csv.reader(io.StringIO(as_csv.table(report("model", names), BERLIN))))
    assert [row[0] for row in read] == ["model", *names]
    assert {len(row) for row in read} == {20}
