"""Write each row once, although the answer to a commit may be lost and rows may come again from a spill file."""

from collections.abc import Sequence
from typing import NamedTuple

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers.connection import RowsRefused, RowStore


class Written(NamedTuple):
    """What became of some rows: those that were there before are in neither count."""

    rows: int
    refused: int = 0


def write_once(connection: RowStore, records: Sequence[UsageRecord]) -> Written:
    """Write those that are not there yet, but not those that no database takes. Raises Unwritable."""
    try:
        connection.write(records)
        return Written(len(records))
    except RowsRefused:
        new = _unknown(connection, records)
    try:
        if new:
            connection.write(new)
        return Written(len(new))
    except RowsRefused:  # also if another transaction has committed the same rows since we looked
        return _one_by_one(connection, new)


def _unknown(connection: RowStore, records: Sequence[UsageRecord]) -> list[UsageRecord]:
    """Return what is not there, each id once."""
    by_id = {record.id: record for record in records}
    for known in connection.known(by_id):
        del by_id[known]
    return list(by_id.values())


def _one_by_one(connection: RowStore, records: Sequence[UsageRecord]) -> Written:
    rows = refused = 0
    for record in records:
        try:
            connection.write([record])
            rows += 1
        except RowsRefused:
            refused += bool(_unknown(connection, [record]))
    return Written(rows, refused)
