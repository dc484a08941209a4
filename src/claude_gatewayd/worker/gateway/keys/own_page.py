"""What a caller may know of its key: GET /whoami."""

import json
from typing import Any, Final

from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.worker.gateway.call import JSON, NO_RETRY, NO_UPSTREAM, Refused
from claude_gatewayd.worker.gateway.introduction import Introduction
from claude_gatewayd.worker.gateway.keys.admission import Admission
from claude_gatewayd.worker.keys.named_keys import KeyAccount

PATH: Final = b"/whoami"


class KeyPage:
    """Answer with whose a key is, until when it is good, and what it may do."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def show(self, exchange: Exchange, introduction: Introduction) -> None:
        """Answer. Raises Refused, as a request for a model with this key would be."""
        caller = introduction.caller
        if caller.has_key and not caller.key_digest and self._admission.named.is_asked_for:
            # 403: for a 401 who asks tries /metrics, as of a gateway that has no such page, and there this key is good
            raise Refused(403, self._admission.without_key(introduction).message, NO_RETRY)
        key = await self._admission.admit(introduction)
        if key is None and not caller.has_key:
            hint = "send the header x-gateway-key"
            raise Refused(401, f"cannot tell who you are: the gateway key is missing or wrong; {hint}", NO_RETRY)
        found = {"name": None} if key is None else as_fields(self._admission.named.account(key))
        exchange.reply(200, b"OK", [JSON, *NO_UPSTREAM], json.dumps(found).encode() + b"\n")


def as_fields(account: KeyAccount) -> dict[str, Any]:
    """Return the fields of the answer. docs/team.md has them: they are only ever added."""
    may, budget = account.may, account.may.monthly_budget
    return {
        "name": account.name,
        "expires_at": account.expires_at,
        "bedrock": may.bedrock,
        "month": account.month,
        "monthly_budget": budget,
        "spent": round(account.spent, 6),
        "left": round(max(0.0, budget - account.spent), 6) if budget else None,
        "requests_per_minute": may.requests_per_minute,
    }
