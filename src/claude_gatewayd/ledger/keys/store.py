"""The tables of named keys, as `claude-gatewayctl keys` changes and lists them. Times are by the database's clock."""

import time
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.keys.named_key import KeyLimits, KeyOwner, Secret
from claude_gatewayd.ledger.schema import key_quarters, key_secrets, keys

_REMEMBERED = 30 * 86400.0  # seconds, for a better word than "unknown", and for when it was used last


def now_of(connection: Connection) -> float:
    """Return the time by the database's clock, in seconds since the epoch."""
    if connection.dialect.name == "postgresql":
        return float(connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0.0)
    return time.time()  # its own: a file has none


def add(connection: Connection, name: str, digest: str, limits: KeyLimits, seconds: float | None) -> float | None:
    """Add a key, which is good for so many *seconds*; return until when. Raises GatewayError if the name is taken."""
    now = now_of(connection)
    if (owner := _find(connection, name)) is not None:
        if owner.revoked_at is not None:
            why, hint = "a revoked key has this name, and its usage", f"claude-gatewayctl keys add {name}-2"
        else:
            why, hint = "there is a key of this name", f"claude-gatewayctl keys rotate {name}"
        raise GatewayError(f"cannot add {name}: {why}", hint)
    connection.execute(insert(keys).values(name=name, created_at=now, **limits._asdict()))
    expires_at = None if seconds is None else now + seconds
    _add_secret(connection, name, digest, now, expires_at)
    return expires_at


def change(connection: Connection, name: str, changed: dict[str, Any]) -> None:
    """Change what a key may do: fields of `KeyLimits`. Raises GatewayError if there is no such key."""
    _require(connection, name, "change")
    connection.execute(update(keys).where(keys.c.name == name).values(**changed))


def revoke(connection: Connection, name: str) -> None:
    """Revoke all keys of a name. Raises GatewayError if there is no such key."""
    _require(connection, name, "revoke")
    connection.execute(update(keys).where(keys.c.name == name).values(revoked_at=now_of(connection)))


def rotate(
    connection: Connection, name: str, digest: str, overlap: float, seconds: float | None, *, as_before: bool
) -> float | None:
    """Give a name a new key; those that it has are good for *overlap* seconds more. Return until when the new one is.

    *as_before*: it is good for as long as the one before it was, else for *seconds*. Raises GatewayError.
    """
    _require(connection, name, "rotate")
    now = now_of(connection)
    of = key_secrets.c
    newest = connection.execute(
        select(of.created_at, of.expires_at).where(of.name == name).order_by(of.created_at.desc()).limit(1)
    ).first()
    if as_before and newest is not None:
        seconds = None if newest.expires_at is None else max(1.0, newest.expires_at - newest.created_at)
    until = now + overlap
    connection.execute(delete(key_secrets).where(of.name == name, of.expires_at < now - _REMEMBERED))
    least = func.least if connection.dialect.name == "postgresql" else func.min
    sooner = least(func.coalesce(of.expires_at, until), until)
    connection.execute(update(key_secrets).where(of.name == name).values(expires_at=sooner))
    expires_at = None if seconds is None else now + seconds
    _add_secret(connection, name, digest, now, expires_at)
    return expires_at


def count(connection: Connection) -> int:
    """Return how many names there are, revoked ones among them."""
    return connection.scalar(select(func.count()).select_from(keys)) or 0


def listed(connection: Connection, first: int, last: int) -> list[KeyOwner]:
    """Return all names in their order; what they have spent is of the quarters from *first* up to *last*."""
    secrets: dict[str, list[Secret]] = {}
    of = key_secrets.c
    for name, *times in connection.execute(
        select(of.name, of.created_at, of.expires_at, of.last_used_at).order_by(of.created_at.desc(), of.digest)
    ):
        secrets.setdefault(name, []).append(Secret(*times))
    by_key = (
        select(key_quarters.c.key_name, func.sum(key_quarters.c.cost))
        .where(key_quarters.c.quarter >= first, key_quarters.c.quarter < last, key_quarters.c.billing == "aws")
        .group_by(key_quarters.c.key_name)
    )
    spent = {name: float(cost) for name, cost in connection.execute(by_key)}
    return [
        _owner(row, tuple(secrets.get(row.name, ())), spent.get(row.name, 0.0))
        for row in connection.execute(select(keys).order_by(keys.c.name))
    ]


def _owner(row: Any, secrets: tuple[Secret, ...], spent: float) -> KeyOwner:
    limits = KeyLimits(row.bedrock, row.monthly_budget, row.requests_per_minute)
    return KeyOwner(row.name, row.created_at, row.revoked_at, limits, secrets, spent)


def _find(connection: Connection, name: str) -> Any:
    return connection.execute(select(keys).where(keys.c.name == name)).first()


def _require(connection: Connection, name: str, verb: str) -> None:
    owner = _find(connection, name)
    if owner is None:
        raise GatewayError(f"cannot {verb} {name}: there is no key of this name", "claude-gatewayctl keys list")
    if owner.revoked_at is not None:
        raise GatewayError(f"cannot {verb} {name}: it is revoked", "claude-gatewayctl keys list --all")


def _add_secret(connection: Connection, name: str, digest: str, now: float, expires_at: float | None) -> None:
    values = {"digest": digest, "name": name, "created_at": now, "expires_at": expires_at}
    connection.execute(insert(key_secrets).values(**values))
