"""The verb that reports what was used and what it cost. SQLAlchemy is loaded when the ledger is read."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import get_args

from claude_gatewayd import printable
from claude_gatewayd.config import loading
from claude_gatewayd.config.model import Config, LedgerConfig
from claude_gatewayd.ctl.terminal import colour
from claude_gatewayd.ctl.terminal.output import DONE, row
from claude_gatewayd.errors import GatewayError, not_changed
from claude_gatewayd.ledger.database import Database, database_of
from claude_gatewayd.ledger.gateway_name import own_gateway
from claude_gatewayd.ledger.reports.estimate import estimate
from claude_gatewayd.ledger.reports.local_time import local, zone_name
from claude_gatewayd.ledger.reports.results import By, UsageReport, UsageSums
from claude_gatewayd.ledger.reports.window import FORMS, Window, window
from claude_gatewayd.service import environment

_DEFAULTS: dict[By, str] = {"hour": "24h", "session": "7d"}
_USUAL = "30d"
_SESSIONS = 20  # of thousands
_ON_SCREEN = "-"


def usage_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `usage` takes."""
    parser.add_argument(
        "--by", choices=get_args(By), default="day", metavar="WHAT",
        help="a row for each: day (default), hour, model, upstream, session, project, gateway, key",
    )  # fmt: skip
    parser.add_argument(
        "--since", default="", metavar="TIME",
        help=f"begin then; default: 30d, by hour 24h, by session 7d. Forms: {FORMS}",
    )  # fmt: skip
    parser.add_argument(
        "--until", default="", metavar="TIME", help="end then, or with that day, month or year; default: now"
    )
    parser.add_argument(
        "--all", action="store_true", help="count all gateways that share the database, not only this one"
    )
    parser.add_argument("--key", metavar="NAME", help="count what came with that named key only")
    parser.add_argument(
        "--limit", type=_positive, metavar="N", help="show N rows: the last ones, or those that cost most"
    )
    parser.add_argument(
        "--against", nargs="?", const="", metavar="DIRECTORY",
        help="compare the ledger's tokens with those in Claude Code's transcripts, in ~/.claude or DIRECTORY; exit 1 "
        "if they differ",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON; its fields are stable")
    form.add_argument("--csv", action="store_true", help="print the rows as CSV; its columns are stable")
    form.add_argument(
        "--plot", nargs="?", const=_ON_SCREEN, default="", metavar="FILE.svg", help="plot the cost, here or into a file"
    )


def usage(arguments: argparse.Namespace) -> int:
    """Show what was used and what it cost."""
    if arguments.plot not in ("", _ON_SCREEN) and not arguments.plot.lower().endswith(".svg"):
        raise GatewayError(
            f"cannot plot into {arguments.plot}: only SVG is written", "claude-gatewayctl usage --plot usage.svg"
        )
    now, zone = time.time(), None
    environ = environment.of_daemon(os.environ)  # the DATABASE_URL may be in the service's alone
    if arguments.against is not None:
        return _against(arguments, environ, now, zone)
    by: By = arguments.by
    asked = window(arguments.since, arguments.until, _DEFAULTS.get(by, _USUAL), now, zone)
    config = loading.load(environ)
    ledger = config.ledger
    database = database_of(ledger, environ)
    report = _read(database, _own(database, config, arguments), asked, now, zone, arguments)
    if report is None:
        today = local(now, zone).date()
        report = UsageReport(
            by, asked, (), 0, UsageSums(), (), (), estimate({}, None, today, zone), (), None, (), None, arguments.key
        )
    _print(report, ledger, database, now, zone, arguments)
    return DONE


def _own(database: Database, config: Config, arguments: argparse.Namespace) -> str | None:
    """Return whose requests are reported, None for everybody's."""
    of_all = arguments.all or arguments.by == "gateway"
    return None if of_all else own_gateway(database, config.listen.port)


def _against(arguments: argparse.Namespace, environ: Mapping[str, str], now: float, zone: tzinfo | None) -> int:
    from claude_gatewayd.ctl.usage.against.run import ComparisonOptions, against

    if other := next((name for name in ("csv", "plot", "limit", "key") if getattr(arguments, name)), ""):
        raise GatewayError(f"cannot compare with --{other}", "claude-gatewayctl usage --against --json")
    config = loading.load(environ)
    database = database_of(config.ledger, environ)
    asked = ComparisonOptions(
        arguments.against, arguments.by, arguments.since, arguments.until, arguments.json, now, zone
    )
    return against(asked, database, _own(database, config, arguments))


def _read(
    database: Database,
    own: str | None,
    asked: Window,
    now: float,
    zone: tzinfo | None,
    arguments: argparse.Namespace,
) -> UsageReport | None:
    from claude_gatewayd.ctl.terminal.progress import Progress
    from claude_gatewayd.ledger.reports.reading import read
    from claude_gatewayd.ledger.reports.report import report

    limit = arguments.limit or (_SESSIONS if arguments.by == "session" else None)
    with Progress("Reading the ledger"):
        return read(
            database,
            lambda connection: report(
                connection,
                arguments.by,
                asked,
                gateway=own,
                key_name=arguments.key,
                limit=limit,
                zone=zone,
                now=now,
            ),
        )


def _print(
    report: UsageReport,
    ledger: LedgerConfig,
    database: Database,
    now: float,
    zone: tzinfo | None,
    arguments: argparse.Namespace,
) -> None:
    if arguments.json:
        from claude_gatewayd.ctl.usage import as_json

        print(as_json.document(report, zone_name(now, zone), database.shown, recording=ledger.enabled))
        return
    if arguments.csv:
        from claude_gatewayd.ctl.usage import as_csv

        print(as_csv.table(report, zone))
        return
    if arguments.plot not in ("", _ON_SCREEN):
        _write(report, Path(arguments.plot), now, zone)
        return
    off = [] if ledger.enabled else ["Recording is off: claude-gatewayctl config set ledger.enabled true --reload"]
    if report.first_at is None:
        print("\n".join([*off, *_nothing_yet(database)]))
        return
    _show("\n\n".join([*off, _shown(report, database, now, zone, arguments)]))


def _shown(
    report: UsageReport, database: Database, now: float, zone: tzinfo | None, arguments: argparse.Namespace
) -> str:
    """Return the plot or the text, in colour on a terminal."""
    width, in_colour = shutil.get_terminal_size().columns, colour.wanted(sys.stdout, os.environ)
    if arguments.plot:
        from claude_gatewayd.ctl.usage import bars, labels, plot_text

        plot = plot_text.drawn(bars.of(report, zone), width, sys.stdout.encoding or "", in_colour=in_colour)
        beyond = f"\n\n{labels.of_more_rows(report)}" if report.more_rows else ""
        return f"{labels.of_window(report.window, now, zone)}\n{plot}{beyond}"
    from claude_gatewayd.ctl.usage import as_text

    whose = report.gateway or ("all gateways" if database.is_postgres else "")
    if report.key_name is not None:
        whose = f"key {report.key_name}" + (f", {whose}" if whose else "")
    return as_text.text(report, whose, now, width, zone, in_colour=in_colour)


def _show(text: str) -> None:
    """Print what is clean, as every name in it was put on one line, and may have colours."""
    print(text, file=printable.unguarded(sys.stdout))


def _nothing_yet(database: Database) -> list[str]:
    return [
        f"Nothing is recorded yet in {database.shown}.",
        "Here will be what Claude Code uses through the gateway: requests, tokens, what they",
        "cost, and what the fallback cost; by day, model, session and more. To see whether",
        "requests come through here:",
        "  claude-gatewayctl status",
    ]


def _write(report: UsageReport, file: Path, now: float, zone: tzinfo | None) -> None:
    from claude_gatewayd.ctl.usage import bars, figures, labels, plot_svg
    from claude_gatewayd.system import files

    total = report.total
    worth = f", subscription worth {figures.dollars(total.subscription)} at list price" if total.subscription else ""
    beyond = f"; {figures.counted(report.more_rows, f'more {report.by}')} not shown" if report.more_rows else ""
    description = (
        f"{labels.of_window(report.window, now, zone)}: {figures.counted(total.requests, 'request')}, "
        f"{figures.dollars(total.billed)} billed{worth}{beyond}"
    )
    try:
        os.stat(file.parent)  # a directory that was mistyped is not created
        files.replace(file, plot_svg.drawn(bars.of(report, zone), description).encode(), 0o644)
    except OSError as error:
        raise not_changed("write", file, error) from None
    print(row("wrote", file))


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is no number of rows")
    return int(text)
