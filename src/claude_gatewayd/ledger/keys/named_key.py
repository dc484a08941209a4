"""What a named key is. Without SQLAlchemy: the worker asks as well.

A key has 256 bits of chance, so its SHA-256 can be neither guessed nor searched for: nobody keeps the key itself.
"""

import hashlib
import re
import secrets
from typing import Final, NamedTuple

PREFIX: Final = "cgk_"
CHANNEL: Final = "claude_gateway_keys"  # on which a PostgreSQL notifies, with the same word, that they have changed
_BYTES: Final = 32
_FORM: Final = re.compile(rb"(?:bearer +)?(cgk_[\w-]{1,200})", re.IGNORECASE | re.ASCII)
NAME: Final = re.compile(r"[a-z_][a-z0-9_.@-]{0,63}")
NAME_FORM: Final = "a letter, then letters, digits, or any of . _ @ -, all of them small, 64 at most"


class KeyLimits(NamedTuple):
    """What a key may do: None where `[keys]` says it. The budget is in USD a month; 0 is no limit, of either."""

    bedrock: bool | None = None
    monthly_budget: float | None = None
    requests_per_minute: int | None = None


class NamedKey(NamedTuple):
    """A key by its *digest*, whose it is, and until when it is good, in seconds since the epoch."""

    digest: str
    name: str
    expires_at: float | None
    is_revoked: bool
    limits: KeyLimits


def new_key() -> str:
    """Return a key that nobody has."""
    return f"{PREFIX}{secrets.token_urlsafe(_BYTES)}"


def digest_of(key: bytes) -> str:
    """Return the digest by which a key is known."""
    return hashlib.sha256(key).hexdigest()


def digest_in(value: bytes) -> str:
    """Return the digest of the named key in a header's value, with or without "Bearer"; "" if it has none."""
    found = _FORM.fullmatch(value)
    return digest_of(found[1]) if found is not None else ""


class Secret(NamedTuple):
    """One key of a name, without the key."""

    created_at: float
    expires_at: float | None
    last_used_at: float | None


class KeyOwner(NamedTuple):
    """A name and its keys, the newest first. *spent* is what it has cost the AWS account in the month, in USD."""

    name: str
    created_at: float
    revoked_at: float | None
    limits: KeyLimits
    secrets: tuple[Secret, ...]
    spent: float

    @property
    def expires_at(self) -> float | None:
        """Until when the newest key is good."""
        return self.secrets[0].expires_at if self.secrets else None

    @property
    def last_used_at(self) -> float | None:
        """When any of its keys was used last; a minute may be missing."""
        return max((one.last_used_at for one in self.secrets if one.last_used_at is not None), default=None)
