"""The verbs of the ledger: check, prune, export, move. What they use is imported when they run."""

import argparse
import getpass
import os
import re
import sys
import time
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd.ctl.terminal import prompts
from claude_gatewayd.ctl.terminal.output import DONE, NO, add_json_flag, row, show
from claude_gatewayd.ctl.terminal.progress import Progress, say
from claude_gatewayd.ctl.terminal.text import counted
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.reports.window import FORMS, begin_of_time, window
from claude_gatewayd.service import environment

_DAY = 86400.0
_FIRST, _FAR = "1971", 1e11  # no row is earlier, or later


def ledger_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `ledger` takes."""
    added = parser.add_subparsers(metavar="WHAT", required=True)

    def add(name: str, summary: str, what: Any) -> argparse.ArgumentParser:
        one = added.add_parser(name, help=summary, description=summary)
        one.set_defaults(what=what)
        return one

    one = add(
        "check", "Check the ledger: its database, its rows and sums, what waits; exit 1 if something is wrong.", _check
    )
    one.add_argument("--repair", action="store_true", help="compute sums anew that are not those of their requests")
    add_json_flag(one)
    one = add("prune", "Remove old rows, in small steps that hold up no request.", _prune)
    limit = one.add_mutually_exclusive_group()
    limit.add_argument("--keep-days", type=_days, metavar="N", help="keep N days (default: [ledger] keep_days)")
    limit.add_argument("--before", metavar="TIME", help=f"remove what is older. Forms: {FORMS}")
    one.add_argument(
        "--vacuum", action="store_true", help="give the room back to the disk as well; rows wait meanwhile"
    )
    one.add_argument("--yes", action="store_true", help="ask no question")
    add_json_flag(one)
    one = add(
        "export", "Write the rows as CSV, or as a JSON object each, to a new file or to standard output.", _export
    )
    one.add_argument(
        "file", nargs="?", metavar="FILE", help="a new file, which only you can read; by its name .csv or .json"
    )
    one.add_argument("--since", default="", metavar="TIME", help=f"begin then; default: the first row. Forms: {FORMS}")
    one.add_argument(
        "--until", default="", metavar="TIME", help="end then, or with that day, month or year; default: the last row"
    )
    form = one.add_mutually_exclusive_group()
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="as CSV, the default")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="as JSON, one object per line")
    one = add("move", "Move the ledger to another database, while requests are served; nothing is lost.", _move)
    one.add_argument(
        "to", nargs="?", metavar="URL",
        help="of a PostgreSQL; `sqlite` for the file; - reads the URL from standard input, so that no list of "
        "processes shows its password. It is written to config.toml, which only you can read then",
    )  # fmt: skip
    one.add_argument("--resume", action="store_true", help="go on with a move that was interrupted")
    add_json_flag(one)


def ledger(arguments: argparse.Namespace) -> int:
    """Look after the usage ledger."""
    code: int = arguments.what(arguments)
    return code


def _check(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.config import loading as config
    from claude_gatewayd.ctl.ledger import agreement, check, opened
    from claude_gatewayd.ledger.opening import driver_errors

    environ = environment.of_daemon(os.environ)
    database = opened.configured(environ)
    is_on = config.load(environ).ledger.enabled
    with Progress("Reading the ledger") as progress:
        found = check.look(database, environ, is_on=is_on)
        if arguments.repair and found.differing:

            def tell(done: int) -> None:
                progress.detail = f"{done} of {len(found.differing)} hours repaired"

            with driver_errors("repair", database):
                agreement.repair(opened.writing(database), found.differing, tell)
            say(f"Repaired the sums of {counted(len(found.differing), 'hour')}")
            found = check.look(database, environ, is_on=is_on)
    show(found.as_dict(), check.plain(found), in_json=arguments.json)
    return NO if found.troubles else DONE


def _prune(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.config import loading as config
    from claude_gatewayd.ctl.ledger import opened, pruning

    environ = environment.of_daemon(os.environ)
    database = opened.configured(environ)
    keep_days = config.load(environ).ledger.keep_days if arguments.keep_days is None else arguments.keep_days
    if arguments.before is None and not keep_days:
        raise GatewayError(
            "cannot prune the ledger: keep_days is 0, for ever", "claude-gatewayctl ledger prune --keep-days 365"
        )
    now = time.time()
    before, limit = now - keep_days * _DAY, f"--keep-days {keep_days}"
    if arguments.before is not None:
        limit = f"--before {quote(arguments.before)}"
        before = begin_of_time("--before", arguments.before, now, None, "ledger prune")
    old = pruning.count(database, before)
    if old and not arguments.yes:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(before))
        if not sys.stdin.isatty() or arguments.json:
            raise GatewayError(
                f"cannot prune the ledger: {old:,} rows before {when} would be removed",
                f"claude-gatewayctl ledger prune {limit} --yes",
            )
        if not prompts.agree(f"Remove {old:,} rows before {when} from {database.shown}?", default=False):
            print("Nothing was changed.")
            return NO
    done = pruning.prune(database, before, vacuum=arguments.vacuum)
    lines = [row("removed", f"{done.removed:,} rows")]
    lines += [
        row(
            "free",
            f"{done.free / 2**20:.1f} MiB of {done.size / 2**20:.1f} MiB, for rows to come (--vacuum gives it back)",
        )
    ] * bool(done.free)
    lines += [row("size", f"{done.size / 2**20:.1f} MiB")] * (not done.free)
    show({"database": database.shown, "before": before, **done._asdict()}, "\n".join(lines), in_json=arguments.json)
    return DONE


def _export(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.ctl.ledger import export, opened
    from claude_gatewayd.ledger.opening import driver_errors

    database = opened.configured(environment.of_daemon(os.environ))
    engine = opened.reading(database)
    file = Path(arguments.file) if arguments.file else None
    form = arguments.form or export.form_of(file)
    asked = window(arguments.since, arguments.until, _FIRST, time.time(), None, verb="ledger export")
    until = asked.until if arguments.until else _FAR  # also what a wrong clock has dated later than now
    with Progress("Exporting") as progress:

        def tell(count: int) -> None:
            progress.detail = f"{count:,} rows"

        with driver_errors("read", database):
            if file is None:
                export.write(sys.stdout, engine, form, asked.since, until, tell)
                return DONE
            with export.new_file(file) as out:
                count = export.write(out, engine, form, asked.since, until, tell)
    print(row("wrote", f"{file}, {count:,} rows"))
    return DONE


def _move(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.ctl.ledger import move, unfinished
    from claude_gatewayd.ledger.database import Database
    from claude_gatewayd.paths import ledger_file

    if (arguments.to is None) != arguments.resume:
        raise GatewayError(
            "cannot move the ledger: give either a URL or --resume", "claude-gatewayctl ledger move --help"
        )
    environ = environment.of_daemon(os.environ)
    if arguments.resume:
        begun = unfinished.read()
        if begun is None:
            raise GatewayError("cannot resume: no move has begun, or it is finished", "claude-gatewayctl ledger check")
        target = begun.target
    else:
        named = _typed_url() if arguments.to == "-" else arguments.to
        if named != "sqlite" and "://" not in named:
            raise GatewayError(
                "cannot move the ledger: that is no URL of a PostgreSQL, and not sqlite",
                "claude-gatewayctl ledger move --help",
            )
        target = Database(file=ledger_file(environ)) if named == "sqlite" else Database.of(named)

    def tell(what: str, text: object) -> None:
        if not arguments.json:
            say_out(what, text)

    done = move.move(target, environ, tell)
    show({"database": target.shown, **done._asdict()}, "The ledger is moved", in_json=arguments.json)
    return DONE


def say_out(what: str, text: object) -> None:
    """Print a step that is done, in place of the progress line."""
    if sys.stderr.isatty():
        from claude_gatewayd.ctl.terminal import progress

        progress.clear()
    print(row(what, text), flush=True)


def _typed_url() -> str:
    """Return the URL that is typed unseen, or piped in."""
    given = getpass.getpass("URL of the PostgreSQL: ") if sys.stdin.isatty() else sys.stdin.readline()
    return given.strip()


def _days(given: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", given):
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of days from 1 to 99999")
    return int(given)
