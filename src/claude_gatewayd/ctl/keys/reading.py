"""Read the keys for a list, whether a daemon runs or not."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import inspect

from claude_gatewayd.config import loading
from claude_gatewayd.config.model import KeysConfig
from claude_gatewayd.ledger.database import SCHEMA, database_of
from claude_gatewayd.ledger.keys import store
from claude_gatewayd.ledger.keys.named_key import KeyOwner
from claude_gatewayd.ledger.opening import driver_errors, open_for_reading
from claude_gatewayd.ledger.reports.local_time import begin_of, local
from claude_gatewayd.ledger.schema import keys
from claude_gatewayd.ledger.sums import QUARTER


class KeysFound(NamedTuple):
    """All keys, and what holds for those that say nothing else. *now* is by the database's clock."""

    owners: Sequence[KeyOwner]
    defaults: KeysConfig
    month: str
    now: float


def read(environ: Mapping[str, str]) -> KeysFound:
    """Return the keys of this configuration's database; none where it has no such tables. Raises GatewayError."""
    config = loading.load(environ)
    database = database_of(config.ledger, environ)
    now = time.time()
    found: list[KeyOwner] = []
    if database.file is None or database.file.exists():
        with driver_errors("read", database), open_for_reading(database).connect() as connection:
            if inspect(connection).has_table(keys.name, schema=SCHEMA if database.is_postgres else None):
                now = store.now_of(connection)
                found = store.listed(connection, *_quarters_of_month(now))
    return KeysFound(found, config.keys, f"{local(now, None):%Y-%m}", now)


def _quarters_of_month(now: float) -> tuple[int, int]:
    """Return the quarters of an hour of the local month, as the worker has it for budgets."""
    begin = local(now, None).date().replace(day=1)
    following = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return int(begin_of(begin, None) // QUARTER), int(begin_of(following, None) // QUARTER)
