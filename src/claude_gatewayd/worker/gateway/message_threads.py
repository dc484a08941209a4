"""Message threads: conversations that Anthropic keeps, of which a request carries only what is new.

Nobody else knows them, and would answer without the conversation. (Measured with Claude Code 2.1.332 and the SDKs.)
"""

from collections.abc import Mapping
from typing import Any

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.worker.gateway.call import JSON, Call

_NOT_HERE = {"error_code": "thread_not_found"}  # to it the SDKs and Claude Code answer with the whole conversation


def is_partial(body: Mapping[str, Any]) -> bool:
    """Say whether a request carries only the new messages of a conversation.

    A thread that is created has all of them. Without a token `resumption` only offers to be interrupted.
    """
    thread, resumption = body.get("thread"), body.get("resumption")
    goes_on = isinstance(thread, dict) and thread.get("type") not in (None, "create")
    return goes_on or (isinstance(resumption, dict) and bool(resumption.get("token")))


def reply_unknown_thread(call: Call, whose: str) -> int:
    """Answer that the conversation is not known here, as Anthropic does when it has forgotten it. Return the status.

    *whose* names who would answer.
    """
    call.route.upstream = "none"
    why = f"{whose} would answer, and knows nothing of the thread: send the whole conversation"
    text = anthropic_errors.error_body(404, why, details=_NOT_HERE)
    call.exchange.reply(404, anthropic_errors.reason(404), [JSON, *call.route.lines], text)
    return 404
