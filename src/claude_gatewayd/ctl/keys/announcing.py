"""Have the gateways know that keys have changed. Where nobody can be told, they look for themselves."""

from typing import Final

from sqlalchemy import Connection, text

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.ledger.keys.named_key import CHANNEL

_WITHIN: Final = 2.0


def to_other_machines(connection: Connection) -> None:
    """Notify those that listen to a PostgreSQL, with the end of the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, :channel)"), {"channel": CHANNEL})


def to_this_machine() -> None:
    """Let the daemon here know, if there is one."""
    try:
        client.ask("keys-changed", _WITHIN)
    except GatewayError:
        return  # none runs, or one that knows no keys
