"""Single requests to one gateway, past the balancers."""

import http.client
import itertools
import json
from typing import Final, NamedTuple

from trial.gateway import PORT, Gateway

_PATIENCE: Final = 30.0
_number: Final = itertools.count(1)


class Reply(NamedTuple):
    """An answer: its status, who gave it, and the body's beginning."""

    status: int
    upstream: str
    text: str


def ask(gateway: Gateway, token: str, key: str, *, prompt: str = "good morning") -> Reply:
    """Have a gateway stream the answer to a prompt, and read it to its end."""
    number = next(_number)
    connection = http.client.HTTPConnection(gateway.machine.address, PORT, timeout=_PATIENCE)
    message = {"role": "user", "content": prompt}
    body = {"model": "claude-opus-4-8", "max_tokens": 4096, "stream": True, "messages": [message]}
    headers = {
        "host": "gateway.example",
        "authorization": f"Bearer {token}",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        "x-claude-code-session-id": f"single-{number}",
        "x-claude-code-agent-id": f"single-{number}",
        "x-gateway-key": key,
    }
    try:
        connection.request("POST", "/v1/messages", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        return Reply(answer.status, answer.headers.get("x-gateway-upstream", ""), text[:400])
    finally:
        connection.close()
