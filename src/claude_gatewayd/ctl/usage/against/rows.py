"""The ledger's requests that used tokens, one after the other. Imports SQLAlchemy."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from claude_gatewayd.ctl.usage.against.compare import AROUND, Counts, LedgerRow, Scope
from claude_gatewayd.ledger.schema import requests

_AT_ONCE = 10_000
_TOKENS = tuple(requests.c[f"{name}_tokens"] for name in Counts._fields[1:])


def first_at(connection: Connection) -> float | None:
    """Return when the ledger's first request began, in seconds since the epoch; None without any."""
    found: float | None = connection.scalar(select(func.min(requests.c.started_at)))
    return found


def rows(connection: Connection, scope: Scope, own: str | None, sessions: set[str]) -> Iterator[LedgerRow]:
    """Yield those of a time, and of what is AROUND it, in the order of their begin; never all at once.

    Those of *own*, and of the *sessions*; all, where *own* is None.
    """
    of = requests.c
    served = func.coalesce(func.nullif(of.model_served, ""), of.model_asked)
    statement = (
        select(
            of.gateway, of.message_id, of.session_id, of.started_at, served, of.project, of.upstream, of.is_aborted,
            *_TOKENS,
        )
        .where(of.started_at >= scope.since - AROUND, of.started_at < scope.until + AROUND)
        .where(sum(_TOKENS[1:], _TOKENS[0]) > 0)
        .order_by(of.started_at)
        .execution_options(yield_per=_AT_ONCE)
    )  # fmt: skip
    for found in connection.execute(statement):
        gateway, message_id, session_id, at, model, project, upstream, is_aborted, *tokens = found
        if own is None or gateway == own or session_id in sessions:
            yield LedgerRow(message_id, session_id, at, model, project, upstream, is_aborted, Counts(1, *tokens))
