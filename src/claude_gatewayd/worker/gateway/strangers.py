"""Whether a caller may use what the gateway's user pays for: their own programs may, other users of the machine not.

A credential that Anthropic accepts shows that somebody has an account there, not that it is this person.
"""

import os
from collections.abc import Callable
from weakref import WeakKeyDictionary

from claude_gatewayd.config.values import Callers
from claude_gatewayd.http1.server.exchange import Connection, Exchange
from claude_gatewayd.network import peer
from claude_gatewayd.network.peer import Address
from claude_gatewayd.worker.gateway.caller import SEND_KEY

_KEY = f"run `claude-gatewayctl configure-claude`, or {SEND_KEY}"


def obstacle(rule: Callers, caller: int | None, own: int) -> str:
    """Return why a caller without the gateway key may not spend, "" if it may.

    *rule* is `[bedrock] callers`, *caller* the uid at the other end, None where nobody can tell, and *own* ours.
    """
    match rule, caller:
        case "any", _:
            return ""
        case "key", _:
            return f'[bedrock] callers is "key", and the gateway key was not sent: {_KEY}'
        case _, None:
            return f"it cannot be seen that the caller is a program of the gateway's user: {_KEY}"
    if caller == own:
        return ""
    return f"it is another user of this machine (uid {caller}), who can have a gateway too: claude-gatewayctl setup"


class Strangers:
    """Look up the user of a connection when money is about to be spent, once for each connection."""

    def __init__(
        self, rule: Callers, uid_of: Callable[[Address, Address], int | None] = peer.uid_of, own: int | None = None
    ) -> None:
        self._rule = rule
        self._uid_of = uid_of
        self._own = os.getuid() if own is None else own
        self._can_tell = peer.can_tell(self._own)
        self._seen: WeakKeyDictionary[Connection, int | None] = WeakKeyDictionary()

    def obstacle(self, exchange: Exchange) -> str:
        """Return why the caller at the other end may not spend without the gateway key, "" if it may."""
        asks = self._rule == "auto" and self._can_tell
        return obstacle(self._rule, self._uid(exchange.connection) if asks else None, self._own)

    def is_another(self, exchange: Exchange) -> bool:
        """Return whether at the other end is certainly another user of this machine, and not root, who may do all."""
        return self._can_tell and self._uid(exchange.connection) not in (None, 0, self._own)

    def _uid(self, connection: Connection) -> int | None:
        if connection not in self._seen:
            there, here = map(Address.of, connection.ends)
            self._seen[connection] = self._uid_of(there, here) if there is not None and here is not None else None
        return self._seen[connection]
