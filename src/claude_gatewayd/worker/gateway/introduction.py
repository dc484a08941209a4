"""Who sends a request, by its header lines: looked at once for a connection.

A client sends the same lines with each request, but for the length of the body.
"""

from dataclasses import dataclass, field
from typing import Protocol

from claude_gatewayd.anthropic.headers import CLIENT_TIMEOUT, betas_with_own_limits
from claude_gatewayd.http1.head import Fields, RequestHead
from claude_gatewayd.worker.gateway import caller as callers
from claude_gatewayd.worker.gateway import guard
from claude_gatewayd.worker.gateway.call import HeaderFacts
from claude_gatewayd.worker.gateway.caller import Caller, Form
from claude_gatewayd.worker.gateway.guard import Rejection
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.gateway.recording import outside
from claude_gatewayd.worker.gateway.recording.outside import Asker
from claude_gatewayd.worker.gateway.remote.client_address import FOR_THE_BACKEND, FORWARDED_FOR, ProxyTrust
from claude_gatewayd.worker.relay import forwarding_loops
from claude_gatewayd.worker.relay.outgoing import KeptLines


@dataclass(frozen=True, slots=True)
class Introduction:
    """What the header lines say.

    *rejection* is the guard's, for a target without an authority. *comes_back*: the request has been here before.
    *digest* is the credential's, "" without one, and *form* is the caller's. *dropped* go to no upstream: headers that
    hold the gateway key, and a balancer's. *facts* are for the lanes.
    """

    rejection: Rejection | None
    comes_back: bool
    caller: Caller
    digest: str
    form: Form
    asker: Asker
    dropped: frozenset[bytes]
    facts: HeaderFacts


@dataclass(slots=True)
class Remembered:
    """The last introduction of one connection, and of which head it is: it ends with it, and so does the credential.

    *messages_at* is the target of requests that are like it and ask for a message, b"" of others; None if unknown yet.
    """

    likeness: object = None
    introduction: Introduction | None = field(default=None, repr=False)
    messages_at: bytes | None = None


class HasEnds(Protocol):
    """What is asked of a connection: the addresses at its other end and at ours."""

    @property
    def ends(self) -> tuple[object, object]: ...


class Introductions:
    """Look at header lines. *hosts* are the names in `[listen] hosts`, *key* is the gateway's.

    *proxies* is None where only this machine's programs ask: nobody wants to know from where.
    """

    def __init__(self, hosts: frozenset[str], key: str, known: KnownCredentials, proxies: ProxyTrust | None) -> None:
        self._hosts = hosts
        self._key = key
        self._known = known
        self._proxies = proxies

    def of(self, request: RequestHead, connection: HasEnds, remembered: Remembered) -> Introduction:
        """Return what the lines say; remember it, for requests of this connection that are like this one."""
        found = remembered.introduction
        if found is None or request.likeness is None or remembered.likeness is not request.likeness:
            found = self._look(request.fields, connection)
            if request.likeness is not None:
                remembered.likeness, remembered.introduction = request.likeness, found
                remembered.messages_at = None
        return found

    def _look(self, fields: Fields, connection: HasEnds) -> Introduction:
        caller = callers.identify(fields, self._key)
        address, dropped = "", caller.key_headers
        if self._proxies is not None:
            peer = _peer(connection)
            address = self._proxies.client_address(peer, fields.all_of(FORWARDED_FOR))
            if self._proxies.trusts(peer):
                dropped |= FOR_THE_BACKEND
        betas = fields.all_of(b"anthropic-beta")
        return Introduction(
            guard.check(fields, None, self._hosts),
            forwarding_loops.comes_back(fields),
            caller,
            self._known.digest(caller.credential) if caller.credential else "",
            caller.form,
            outside.asker(fields, address),
            dropped,
            HeaderFacts(betas_with_own_limits(betas) if betas else "", fields.get(CLIENT_TIMEOUT), KeptLines()),
        )


def _peer(connection: HasEnds) -> str:
    """Return the address at the other end, "" for a socket without one."""
    there, _here = connection.ends
    return str(there[0]) if isinstance(there, tuple) else ""
