"""ledger/reports/report.py, in both databases."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from claude_gatewayd.ledger.reports.report import report
from claude_gatewayd.ledger.reports.results import UsageReport
from claude_gatewayd.ledger.reports.window import Window
from tests.support import ledger_rows
from tests.support.ledger_rows import GATEWAY

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 14, tzinfo=BERLIN).timestamp()
DAY = 86400
MONTH = Window(NOW - 30 * DAY, NOW + 900)


def of(engine: Engine, by: str = "day", window: Window = MONTH, **more: object) -> UsageReport:
    with engine.connect() as connection:
        return report(connection, by, window, zone=BERLIN, now=NOW, **more)  # type: ignore[arg-type]


def test_the_month_is_the_same_whatever_the_report_is_by(engine: Engine) -> None:
    """By day it is taken from the rows, else it is read."""
    ledger_rows.fill(engine, 2000, since=NOW - 60 * DAY, until=NOW)
    by_day, by_model, of_today = of(engine), of(engine, "model"), of(engine, window=Window(NOW - 900, NOW))
    assert by_day.month.billed > 1
    assert by_day.month.billed_estimate is not None
    for other in (by_model, of_today):
        assert other.month.billed == pytest.approx(by_day.month.billed)
        assert other.month.billed_estimate == pytest.approx(by_day.month.billed_estimate)
        assert other.month.subscription_estimate == pytest.approx(by_day.month.subscription_estimate)


def test_unpriced_models_are_the_same_too(engine: Engine) -> None:
    ledger_rows.fill(engine, 2000, since=NOW - 5 * DAY, until=NOW)
    assert of(engine).unpriced_models == of(engine, "model").unpriced_models == ("unheard-of",)


def test_a_limit_leaves_rows_out_and_not_the_total(engine: Engine) -> None:
    ledger_rows.fill(engine, 2000, since=NOW - 5 * DAY, until=NOW)
    for by in ("day", "hour", "session", "model"):
        whole, cut = of(engine, by), of(engine, by, limit=2)
        assert cut.total == whole.total
        assert cut.more_rows == len(whole.rows) - 2
        assert cut.rows == (whole.rows[-2:] if by in ("day", "hour") else whole.rows[:2])
    assert of(engine, limit=1000).more_rows == 0


def test_the_others_in_a_database_are_named(engine: Engine) -> None:
    ledger_rows.fill(engine, 50, since=NOW - 5 * DAY, until=NOW)
    mine, all_of_us, hers = of(engine, gateway=GATEWAY), of(engine), of(engine, gateway="grace@desk")
    assert (mine.gateway, mine.others, mine.total.requests) == (GATEWAY, (), 50)
    assert (all_of_us.gateway, all_of_us.others) == (None, ())
    assert (hers.others, hers.total.requests, hers.rows, hers.latencies) == ((GATEWAY,), 0, (), ())


def test_an_empty_ledger_and_a_time_before_it(engine: Engine) -> None:
    empty = of(engine)
    assert (empty.rows, empty.first_at, empty.month.billed, empty.month.billed_estimate) == ((), None, 0, None)
    ledger_rows.fill(engine, 50, since=NOW - 5 * DAY, until=NOW)
    before = of(engine, window=Window(0, NOW - 300 * DAY))
    assert before.rows == ()
    assert before.first_at == pytest.approx(NOW - 5 * DAY, abs=900)
    assert before.month.billed > 0
