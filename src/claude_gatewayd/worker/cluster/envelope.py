"""Facts as a message to other gateways. Who does not have the shared secret can neither make nor change one. Pure.

Anybody who may connect to a PostgreSQL database may send to each of its channels.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from claude_gatewayd.worker.sharing.facts import Fact
from claude_gatewayd.worker.sharing.messages import as_message, from_message
from claude_gatewayd.worker.sharing.travels import TRAVELS

LONGEST: Final = 7900  # bytes: PostgreSQL takes less than 8,000 (postgresql.org/docs/current/sql-notify.html)
_SEAL: Final = 32  # digits before the JSON


class Envelope(NamedTuple):
    """A message: the mark of the daemon that has sent it, and its facts."""

    daemon: str
    facts: tuple[Fact, ...]


def sealed(key: bytes, daemon: str, facts: Sequence[Fact]) -> str:
    """Return facts as a message, in ASCII: a database may be of any encoding."""
    content = json.dumps({"daemon": daemon, "facts": [as_message(fact) for fact in facts]}, separators=(",", ":"))
    return _seal(key, content) + content


def messages(key: bytes, daemon: str, facts: Sequence[Fact]) -> Iterator[str]:
    """Yield facts as messages, as few as there is room in. One that alone is too long is left out."""
    together: list[Fact] = []
    for fact in facts:
        if len(sealed(key, daemon, [fact])) > LONGEST:
            continue
        if together and len(sealed(key, daemon, [*together, fact])) > LONGEST:
            yield sealed(key, daemon, together)
            together = []
        together.append(fact)
    if together:
        yield sealed(key, daemon, together)


def opened(key: bytes, message: str) -> Envelope | None:
    """Return what is in a message; None where it is of nobody who has the secret, or of another version.

    Kinds of facts that do not travel are left out, whoever has sent them.
    """
    seal, content = message[:_SEAL], message[_SEAL:]
    if not hmac.compare_digest(seal.encode(errors="replace"), _seal(key, content).encode()):
        return None
    try:
        found: Any = json.loads(content)
        daemon, listed = str(found["daemon"]), list(found["facts"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    facts = (from_message(one) for one in listed)
    return Envelope(daemon, tuple(fact for fact in facts if fact is not None and type(fact) in TRAVELS))


def _seal(key: bytes, content: str) -> str:
    return hashlib.blake2b(content.encode(errors="replace"), digest_size=_SEAL // 2, key=key).hexdigest()
