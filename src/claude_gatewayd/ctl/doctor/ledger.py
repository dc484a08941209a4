"""Checks of the usage ledger: that it can be written and read, and that nothing waits or is lost. Pure."""

from collections.abc import Iterator
from shlex import quote

from claude_gatewayd.ctl.doctor.finding import Finding, Status, ok
from claude_gatewayd.ctl.ledger.facts import LedgerFacts
from claude_gatewayd.ctl.terminal.text import counted

_CHECK = "ledger"
_AHEAD = 300.0  # seconds


def ledger(found: LedgerFacts, status: Status | None, now: float, stray: str = "") -> Iterator[Finding]:
    """Judge the ledger, and what the daemon says of it. *stray* is a DATABASE_URL that is not used, as it is shown."""
    if found.open_file:
        yield Finding(
            _CHECK, "fail", f"{found.open_file} has a password, and other users can read it",
            "it is that of the ledger's PostgreSQL", f"chmod 600 {quote(found.open_file)}", "private", found.open_file,
        )  # fmt: skip
    if stray:
        yield Finding(
            _CHECK, "note", f"DATABASE_URL is set, and not used: {stray}",
            "it may be another program's, so nothing is written there unless you say so",
            "claude-gatewayctl config set ledger.use_database_url false    # or true, then claude-gatewayctl install",
        )  # fmt: skip
    if not found.is_on:
        enable = "claude-gatewayctl config set ledger.enabled true --reload"
        yield Finding(_CHECK, "note", "is off", "nobody will know what was used and what it cost", enable)
        return
    if found.moving_to:
        yield Finding(
            _CHECK, "note", f"its move to {found.moving_to} is not finished", "rows may still be in the old database",
            "claude-gatewayctl ledger move --resume",
        )  # fmt: skip
    if found.why:
        why = "requests are served; their rows wait, and are lost if that takes too long"
        yield Finding(_CHECK, "fail", f"{found.shown}: {found.why}", why, found.hint)
    trouble = list(_of_daemon(status, reported=bool(found.why)))
    yield from trouble
    if found.newest is not None and found.newest > now + _AHEAD:
        yield Finding(
            _CHECK, "note", f"its newest row is {found.newest - now:.0f} s in the future",
            "a clock was wrong, here or at another gateway: reports by day are too", "timedatectl status",
        )  # fmt: skip
    if not found.why and not trouble:
        yield ok(_CHECK, f"{found.shown}{', nothing written yet' if found.is_new else ''}")


def _of_daemon(status: Status | None, *, reported: bool) -> Iterator[Finding]:
    """Judge what the daemon says of its writer; *reported*: that the database cannot be used is said already."""
    how = (status or {}).get("ledger")  # a daemon of an older version has none
    if how is None:
        return
    waiting = how["waiting"] + how["spilled"]
    if how["state"] == "waiting" and not reported:
        rows = counted(waiting, "row waits", "rows wait")
        yield Finding(
            _CHECK, "fail", f"the daemon cannot write it, {rows}", how["why"], "claude-gatewayctl ledger check"
        )
    elif how["spilled"]:
        rows = counted(how["spilled"], "row waits", "rows wait")
        yield Finding(
            _CHECK, "note", f"{rows} in a file", "they are written as soon as the database is back",
            "claude-gatewayctl ledger check",
        )  # fmt: skip
    if how["dropped"]:
        rows = counted(how["dropped"], "row is lost", "rows are lost")
        yield Finding(
            _CHECK, "note", f"{rows} since the daemon's generation started",
            "the database was away for too long, or refused them; reports are too low by that",
            "claude-gatewayctl logs | grep -i ledger",
        )  # fmt: skip
