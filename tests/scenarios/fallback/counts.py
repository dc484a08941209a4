"""Counting tokens as Claude Code does it, and what can come of it."""

import json
from typing import Any, Final

from tests.support.stage import MODEL, Reply, Stage

PATH: Final = "/v1/messages/count_tokens"
BURST: Final = 35
BETAS: Final = "claude-code-20250219,oauth-2025-04-20,advanced-tool-use-2025-11-20,effort-2025-11-24"


def count(stage: Stage, model: str = MODEL, token: str | None = None, **more: Any) -> Reply:
    """Ask as Claude Code does for `/context`."""
    messages = [{"role": "user", "content": "foo"}]
    body = json.dumps({"model": model, "messages": messages, "tools": [], **more}).encode()
    return stage.ask(body, path=f"{PATH}?beta=true", token=token, headers={"anthropic-beta": BETAS})


def fails(stage: Stage, status: int = 529, **more: Any) -> None:
    stage.anthropic.fail_next(status, path=PATH, times=BURST, **more)


def estimates(reply: Reply) -> str:
    """Return why nobody counts: an answer by which Claude Code estimates, without asking again."""
    assert (reply.status, reply.json["error"]["type"]) == (501, "not_supported"), reply
    assert reply.headers["x-should-retry"] == "false"
    return reply.error


def counted_at_bedrock(reply: Reply) -> bool:
    return reply.status == 200 and reply.headers["x-gateway-upstream"] == "bedrock" and reply.json["input_tokens"] > 0
