"""`ledger export`: rows as CSV or JSON lines, as they are read, so that a million of them take no memory."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any, Literal, TextIO

from sqlalchemy import Connection, Engine, Row, select, tuple_

from claude_gatewayd.errors import GatewayError, not_changed
from claude_gatewayd.ledger.schema import requests
from claude_gatewayd.printable import cell

Form = Literal["csv", "json"]
_CHUNK = 2000


def write(out: TextIO, engine: Engine, form: Form, since: float, until: float, tell: Callable[[int], None]) -> int:
    """Write the rows that started from *since* and before *until*, by time; return how many. *tell* hears of it."""
    names = [column.name for column in requests.columns]
    lines = csv.writer(out, lineterminator="\n")
    if form == "csv":
        lines.writerow(names)
    count = 0
    with engine.connect() as connection:
        for chunk in _chunks(connection, since, until):
            if form == "csv":
                lines.writerows([_plain(value) for value in row] for row in chunk)
            else:
                out.writelines(
                    json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in chunk
                )
            count += len(chunk)
            tell(count)
    return count


def _plain(value: object) -> object:
    """Return a value as CSV has it: true and false as in JSON."""
    return str(value).lower() if isinstance(value, bool) else cell(value) if isinstance(value, str) else value


def form_of(file: Path | None) -> Form:
    """Return the form that the name of a file asks for."""
    return "json" if file is not None and file.suffix in (".json", ".jsonl", ".ndjson") else "csv"


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """Yield a new file that only its owner can read; without the block's success there is none. Raises GatewayError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        beside = path.with_stem(f"{path.stem}-2")
        raise GatewayError(
            f"cannot export to {path}: it is there already", f"claude-gatewayctl ledger export {quote(str(beside))}"
        ) from None
    except OSError as error:
        raise not_changed("write", path, error) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as error:
        path.unlink(missing_ok=True)
        raise not_changed("write", path, error) from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _chunks(connection: Connection, since: float, until: float) -> Iterator[list[Row[Any]]]:
    place = requests.c.started_at, requests.c.id
    after: tuple[float, str] = (since, "")
    while True:
        chosen = select(requests).where(tuple_(*place) > after, requests.c.started_at < until)
        chunk = list(connection.execute(chosen.order_by(*place).limit(_CHUNK)))
        connection.rollback()  # a long transaction would keep SQLite's WAL from shrinking
        if not chunk:
            return
        yield chunk
        after = (chunk[-1].started_at, chunk[-1].id)
