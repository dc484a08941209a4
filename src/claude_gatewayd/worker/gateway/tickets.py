"""One-use tickets, which stand for a caller's credential in LiteLLM: it never sees the credential itself."""

import secrets
from collections import OrderedDict

from claude_gatewayd.worker.gateway.call import Call

_MOST_TICKETS = 4096


class Tickets:
    """Issue tickets for calls, and redeem each once."""

    def __init__(self) -> None:
        self._calls: OrderedDict[bytes, Call] = OrderedDict()

    def issue(self, call: Call) -> bytes:
        """Return a ticket for *call*, good until it is redeemed or recalled."""
        ticket = b"ticket-" + secrets.token_urlsafe(24).encode()
        self._calls[ticket] = call
        while len(self._calls) > _MOST_TICKETS:
            self._calls.popitem(last=False)
        return ticket

    def redeem(self, ticket: bytes) -> Call | None:
        """Return the call that a ticket was issued for, once."""
        return self._calls.pop(ticket, None)

    def recall(self, ticket: bytes) -> None:
        """Invalidate a ticket: its call is over."""
        self._calls.pop(ticket, None)
