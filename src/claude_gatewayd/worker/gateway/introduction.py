"""Who sends a request, by its header lines: looked at once for a connection.

A client sends the same lines with each request, but for the length of the body.
"""

from dataclasses import dataclass, field
from typing import Final

from claude_gatewayd.http1.head import Fields
from claude_gatewayd.worker.gateway import caller as callers
from claude_gatewayd.worker.gateway import guard
from claude_gatewayd.worker.gateway.caller import Caller, Form
from claude_gatewayd.worker.gateway.guard import Rejection
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.gateway.recording import outside
from claude_gatewayd.worker.gateway.recording.outside import Asker
from claude_gatewayd.worker.relay import forwarding_loops
from claude_gatewayd.worker.relay.outgoing import KeptLines

_LONGEST: Final = 2048  # bytes of lines that a connection remembers


@dataclass(frozen=True, slots=True)
class Introduction:
    """What the header lines say.

    *rejection* is the guard's, for a target without an authority. *comes_back*: the request has been here before.
    *digest* is the credential's, "" without one, and *form* is the caller's. *kept* are the lines as they are sent on.
    """

    rejection: Rejection | None
    comes_back: bool
    caller: Caller
    digest: str
    form: Form
    asker: Asker
    kept: KeptLines


@dataclass(slots=True)
class Remembered:
    """The last introduction of one connection: it ends with it, and so does the credential that is in it.

    It is found by a hash, not compared with byte by byte: that could reveal how much of a guessed key is right, where
    several callers share a connection.
    """

    last: dict[tuple[bytes, bytes], Introduction] = field(default_factory=dict, repr=False)


class Introductions:
    """Look at header lines. *hosts* are the names in `[listen] hosts`, *key* is the gateway's."""

    def __init__(self, hosts: frozenset[str], key: str, known: KnownCredentials) -> None:
        self._hosts = hosts
        self._key = key
        self._known = known

    def of(self, fields: Fields, remembered: Remembered) -> Introduction:
        """Return what the lines say; remember it, if they are not uncommonly long."""
        lines = fields.but(b"content-length")
        found = remembered.last.get(lines)
        if found is None:
            found = self._look(fields)
            if len(lines[0]) + len(lines[1]) <= _LONGEST:
                remembered.last = {lines: found}
        return found

    def _look(self, fields: Fields) -> Introduction:
        caller = callers.identify(fields, self._key)
        return Introduction(
            guard.check(fields, None, self._hosts),
            forwarding_loops.comes_back(fields),
            caller,
            self._known.digest(caller.credential) if caller.credential else "",
            caller.form,
            outside.asker(fields),
            KeptLines(),
        )
