"""The verb `keys`: who may call a gateway for a team. SQLAlchemy is loaded when it runs."""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from claude_gatewayd.ctl.keys import lifetimes
from claude_gatewayd.ctl.terminal.output import DONE, add_json_flag, show
from claude_gatewayd.errors import GatewayError, list_command, not_changed
from claude_gatewayd.ledger.keys.named_key import NAME, NAME_FORM, KeyLimits, digest_of, new_key
from claude_gatewayd.service import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from claude_gatewayd.config.model import Config

T = TypeVar("T")
_AS_CONFIGURED: Final = "default"
_MOST_DOLLARS, _MOST_REQUESTS = 1_000_000_000, 1_000_000


def keys_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `keys` takes."""
    added = parser.add_subparsers(metavar="WHAT", required=True)

    def add(name: str, summary: str, what: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        one = added.add_parser(name, help=summary, description=summary)
        one.set_defaults(what=what)
        return one

    one = add("add", "Make a key for somebody, and print it, this once.", _add)
    one.add_argument("name", metavar="NAME", help=f"whose it is: {NAME_FORM}")
    one.add_argument("--expires", default=lifetimes.NEVER, metavar="TIME", help=f"Forms: {lifetimes.FORMS}")
    _add_limits(one)
    _add_out(one)
    one = add("list", "List the keys: until when they are good, when they were used last, what they have cost.", _list)
    one.add_argument("--all", action="store_true", help="those that are revoked, too")
    add_json_flag(one)
    one = add("set", "Change what a key may do.", _set)
    one.add_argument("name", metavar="NAME")
    _add_limits(one)
    one = add("revoke", "Refuse a key from now on, at every gateway; its usage stays in the ledger.", _revoke)
    one.add_argument("name", metavar="NAME")
    one = add("rotate", "Make a new key for somebody, and print it; the one before it ends.", _rotate)
    one.add_argument("name", metavar="NAME")
    one.add_argument(
        "--expires",
        metavar="TIME",
        help=f"by default it is good for as long as the one before. Forms: {lifetimes.FORMS}",
    )
    one.add_argument(
        "--overlap", default="0", metavar="SPAN", help="the one before it is good for this long, too, such as 24h"
    )
    _add_out(one)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bedrock", action=argparse.BooleanOptionalAction, help="whether Bedrock may answer it")
    parser.add_argument(
        "--budget", type=_dollars, metavar="USD", help="what it may cost at Bedrock in a month; 0 for no limit; "
        "`default` is what [keys] says",
    )  # fmt: skip
    parser.add_argument(
        "--rpm", type=_requests, metavar="N", help="requests per minute; 0 for no limit; `default` is what [keys] says"
    )


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="FILE", help="write it to a new file that only you can read, and print nothing"
    )


def keys(arguments: argparse.Namespace) -> int:
    """Manage who may call this gateway, and the others that share its database."""
    code: int = arguments.what(arguments)
    return code


def _add(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.ledger.keys import store

    name = _name(arguments.name)
    seconds = lifetimes.seconds_until("--expires", arguments.expires, time.time())
    limits = KeyLimits(
        **{field: None if given == _AS_CONFIGURED else given for field, given in _asked(arguments).items()}
    )
    environ = environment.of_daemon(os.environ)
    key = new_key()
    with _new_file(arguments.out) as write:

        def add(connection: "Connection") -> tuple[float | None, int]:
            until = store.add(connection, name, digest_of(key.encode()), limits, seconds)
            return until, store.count(connection)

        config, (until, count) = _change(environ, "add keys", add)
        write(key)
    _say(f"This is the key of {name}, and nobody can show it again. {_until(until)}.")
    _say("Hand it out in a file that only its owner can read; on their machine:")
    _say("  claude-gatewayctl configure-claude --url https://gateway.example --key-file FILE")
    if not config.listen.remote:
        _say("[listen] remote is false: nobody needs a key here, but usage is told by it where one is sent.")
    elif count == 1:
        _say("It is the first one: from now on requests for models need a named key, and the gateway's own is refused.")
    return DONE


def _rotate(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.ledger.keys import store

    name, as_before = _name(arguments.name), arguments.expires is None
    seconds = None if as_before else lifetimes.seconds_until("--expires", arguments.expires, time.time())
    overlap = lifetimes.overlap(arguments.overlap)
    key = new_key()
    with _new_file(arguments.out) as write:

        def rotate(connection: "Connection") -> float | None:
            digest = digest_of(key.encode())
            return store.rotate(connection, name, digest, overlap, seconds, as_before=as_before)

        _, until = _change(environment.of_daemon(os.environ), "rotate keys", rotate)
        write(key)
    _say(f"This is the new key of {name}, and nobody can show it again. {_until(until)}.")
    _say("The one before it is " + (f"good for {arguments.overlap} more." if overlap else "refused from now on."))
    return DONE


def _set(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.ledger.keys import store

    name, asked = _name(arguments.name), _asked(arguments)
    changed = {field: None if given == _AS_CONFIGURED else given for field, given in asked.items() if given is not None}
    if not changed:
        raise GatewayError(f"cannot change {name}: nothing is to be changed", "claude-gatewayctl keys set --help")
    _change(
        environment.of_daemon(os.environ), "change keys", lambda connection: store.change(connection, name, changed)
    )
    _say(f"Changed {name}.")
    return DONE


def _revoke(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.ledger.keys import store

    name = _name(arguments.name)
    _change(environment.of_daemon(os.environ), "revoke keys", lambda connection: store.revoke(connection, name))
    _say(f"Revoked {name}: new requests with it are refused, those under way go on to their end.")
    return DONE


def _list(arguments: argparse.Namespace) -> int:
    from claude_gatewayd.ctl.keys import reading

    found = reading.read(environment.of_daemon(os.environ))
    shown = [one for one in found.owners if arguments.all or one.revoked_at is None]
    from claude_gatewayd.ctl.keys import listing

    document = listing.document(shown, found.defaults, found.month, found.now)
    if shown:
        plain = listing.table(shown, found.defaults, found.now)
    else:
        hidden = " (keys list --all shows those that are revoked)" if found.owners else ""
        plain = f"There are no named keys{hidden}. To make one:\n  claude-gatewayctl keys add NAME"
    show(document, plain, in_json=arguments.json)
    if not arguments.json:
        for line in listing.warnings(shown, found.now):
            _say(line)
    return DONE


def _change(environ: Mapping[str, str], what: str, change: Callable[["Connection"], T]) -> tuple["Config", T]:
    """Change the tables of keys in one transaction, and have all gateways know. Raises GatewayError, ConfigInvalid."""
    from claude_gatewayd.config import loading
    from claude_gatewayd.ctl.keys import announcing
    from claude_gatewayd.ledger.database import database_of
    from claude_gatewayd.ledger.maintenance.migrate import migrate
    from claude_gatewayd.ledger.opening import driver_errors, open_for_writing

    config = loading.load(environ)
    if not config.ledger.enabled:
        raise GatewayError(
            f"cannot {what}: they live in the ledger's database, and [ledger] enabled is false",
            "claude-gatewayctl config set ledger.enabled true --reload",
        )
    database = database_of(config.ledger, environ)
    with driver_errors("write", database):
        migrate(database)
        with open_for_writing(database).begin() as connection:
            done = change(connection)
            announcing.to_other_machines(connection)
    announcing.to_this_machine()
    return config, done


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the limits that are typed, None for those that are not."""
    return {
        "bedrock": arguments.bedrock,
        "monthly_budget": arguments.budget,
        "requests_per_minute": arguments.rpm,
    }


def _name(given: str) -> str:
    if not NAME.fullmatch(given):
        raise GatewayError(f'cannot use the name "{given}": a name is {NAME_FORM}', "claude-gatewayctl keys add alice")
    return given


def _until(at: float | None) -> str:
    return "It never expires" if at is None else f"It expires {time.strftime('%a %d %b %Y %H:%M', time.localtime(at))}"


@contextmanager
def _new_file(name: str | None) -> "Iterator[Callable[[str], None]]":
    """Yield what the key is written with: to a new file that only its owner can read, or to standard output.

    The file is made first: a key that could not be written would be lost. Without the block's success there is none.
    """
    if name is None:
        yield print
        sys.stdout.flush()  # before what is said of it
        return
    file = Path(name)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise GatewayError(f"cannot write the key to {file}: it is there already", list_command(file)) from None
    except OSError as error:
        raise not_changed("write", file, error) from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            yield lambda key: print(key, file=out)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _dollars(given: str) -> float | str:
    if given == _AS_CONFIGURED:
        return given
    if not re.fullmatch(r"\d{1,10}(\.\d{1,6})?", given) or float(given) > _MOST_DOLLARS:
        raise argparse.ArgumentTypeError(f"{given!r} is no amount of US dollars, such as 50")
    return float(given)


def _requests(given: str) -> int | str:
    if given == _AS_CONFIGURED:
        return given
    if not re.fullmatch(r"\d{1,7}", given) or int(given) > _MOST_REQUESTS:
        raise argparse.ArgumentTypeError(f"{given!r} is no number of requests, such as 60")
    return int(given)
