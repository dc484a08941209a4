"""The record of a move that has begun: where from and where to, until every row is there."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError, not_changed
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.system import files, small_file


class Move(NamedTuple):
    """A move of the ledger between two databases."""

    source: Database
    target: Database


def _file(environ: Mapping[str, str]) -> Path:
    return paths.state_dir(environ) / "ledger-move.json"


def read(environ: Mapping[str, str] = os.environ) -> Move | None:
    """Return the move that is not finished, None if there is none, or if its record cannot be read."""
    try:
        found = json.loads(small_file.read(_file(environ)))
        return Move(Database.of(found["from"]), Database.of(found["to"]))
    except (OSError, ValueError, KeyError, TypeError, GatewayError):
        return None


def begin(move: Move, environ: Mapping[str, str] = os.environ) -> None:
    """Write it down, for its owner only: a URL may hold a password. Raises GatewayError."""
    record = {"from": _named(move.source), "to": _named(move.target)}
    try:
        files.write(_file(environ), json.dumps(record).encode())
    except OSError as error:
        raise not_changed("write", _file(environ), error) from None


def end(environ: Mapping[str, str] = os.environ) -> None:
    """Forget it. Raises GatewayError."""
    try:
        files.remove(_file(environ))
    except OSError as error:
        raise not_changed("remove", _file(environ), error) from None


def _named(database: Database) -> str:
    return database.url or str(database.file)
