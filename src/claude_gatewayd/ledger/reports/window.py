"""The time that a report is about, read from what a person types."""

import re
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.reports.local_time import begin_of, instant, local
from claude_gatewayd.ledger.sums import QUARTER

FORMS = "2026-11-29, 2026-11, 2026, 7d, 2w, 24h, today, yesterday, 14:30, or '2026-11-29 14:30'"
_AGO = re.compile(r"(\d{1,5})\s*(h|d|w)")
_MONTH = re.compile(r"(\d{4})-(\d{1,2})")
_YEAR = re.compile(r"\d{4}")
_TIME = re.compile(r"(\d{1,2}):(\d{2})")


class Window(NamedTuple):
    """From *since* to *until*, exclusively, in seconds since the epoch; both on a quarter of an hour."""

    since: float
    until: float

    @property
    def quarters(self) -> tuple[int, int]:
        """The first quarter, and the first one that does not belong to it."""
        return int(self.since // QUARTER), int(-(-self.until // QUARTER))


class _Span(NamedTuple):
    begin: float
    end: float


def window(since: str, until: str, default: str, now: float, zone: tzinfo | None, *, verb: str = "usage") -> Window:
    """Return the window from *since* (else *default*) to *until* (else now), all as a person types them.

    A day, month or year that ends it belongs to it. *verb* is the one to repeat. Raises GatewayError.
    """
    begin = _read("--since", since or default, now, zone, verb).begin
    end = _read("--until", until, now, zone, verb).end if until else now
    begin = begin // QUARTER * QUARTER
    end = -(-end // QUARTER) * QUARTER
    if begin >= end:
        shown = [local(at, zone).strftime("%Y-%m-%d %H:%M") for at in (begin, end)]
        why = f"it would begin at {shown[0]} and end at {shown[1]}"
        raise GatewayError(f"cannot report on that time: {why}", f"claude-gatewayctl {verb} --since 7d")
    return Window(begin, end)


def begin_of_time(option: str, text: str, now: float, zone: tzinfo | None, verb: str) -> float:
    """Return when a time that a person types for an *option* of a *verb* begins. Raises GatewayError."""
    return _read(option, text, now, zone, verb).begin


def _read(option: str, text: str, now: float, zone: tzinfo | None, verb: str) -> _Span:
    try:
        span = _span(text.strip().lower(), now, zone)
    except (ValueError, OverflowError, OSError):  # the 30th of February, the year 0
        span = None
    if span is None:
        example = "7d" if option == "--since" else "yesterday"
        hint = f"claude-gatewayctl {verb} {option} {example}"
        raise GatewayError(f'cannot read {option} "{text}": it is no time. Forms: {FORMS}', hint)
    return span


def _span(text: str, now: float, zone: tzinfo | None) -> _Span | None:
    today = local(now, zone).date()
    if text == "now":
        return _Span(now, now)
    if text in ("today", "yesterday"):
        day = today - timedelta(days=text == "yesterday")
        return _Span(begin_of(day, zone), begin_of(day + timedelta(days=1), zone))
    if found := _AGO.fullmatch(text):
        number, unit = int(found[1]), found[2]
        if unit == "h":
            at = now - number * 3600
            return _Span(at, at)
        days = number * (7 if unit == "w" else 1)  # today is one of them
        at = begin_of(today - timedelta(days=days - 1), zone)
        return _Span(at, at)
    if found := _TIME.fullmatch(text):
        at = datetime(today.year, today.month, today.day, int(found[1]), int(found[2]), tzinfo=zone).timestamp()
        return _Span(at, at)
    if found := _MONTH.fullmatch(text):
        year, month = int(found[1]), int(found[2])
        return _Span(instant(year, month, 1, zone), instant(year + month // 12, month % 12 + 1, 1, zone))
    if _YEAR.fullmatch(text):
        return _Span(instant(int(text), 1, 1, zone), instant(int(text) + 1, 1, 1, zone))
    return _date_or_time(text.upper(), zone)


def _date_or_time(text: str, zone: tzinfo | None) -> _Span:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        when = datetime.fromisoformat(text)
        at = (when if when.tzinfo is not None else when.replace(tzinfo=zone)).timestamp()
        return _Span(at, at)
    return _Span(begin_of(day, zone), begin_of(day + timedelta(days=1), zone))
