"""Message threads: conversations that Anthropic stores, so that a request carries only the new messages.

Another upstream does not have them, and would answer without the conversation. (Measured with Claude Code 2.1.332 and
the SDKs.)
"""

from collections.abc import Mapping
from typing import Any

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.worker.gateway.call import JSON, Call

_NOT_HERE = {"error_code": "thread_not_found"}  # then the SDKs and Claude Code send the whole conversation


def is_partial(body: Mapping[str, Any]) -> bool:
    """Whether a request carries only the new messages of a conversation.

    A request that creates a thread has all of them. `resumption` without a token only allows an interruption.
    """
    thread, resumption = body.get("thread"), body.get("resumption")
    goes_on = isinstance(thread, dict) and (
        thread.get("type") not in (None, "create")
        or (not thread.get("type") and bool(thread.get("previous_message_id")))
    )
    return goes_on or (isinstance(resumption, dict) and bool(resumption.get("token")))


def reply_unknown_thread(call: Call, upstream: str) -> int:
    """Answer that the thread is unknown, as Anthropic does when it no longer has it. Return the status.

    *upstream* is what would have answered.
    """
    call.route.upstream = "none"
    why = f"{upstream} would answer, and does not have the thread: send the whole conversation"
    text = anthropic_errors.error_body(404, why, details=_NOT_HERE)
    call.exchange.reply(404, anthropic_errors.reason(404), [JSON, *call.route.lines], text)
    return 404
