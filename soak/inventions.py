"""A caller that makes up names. `python -m soak.inventions PORT KEY WHAT BEGIN END` prints its statuses."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import uvloop

from soak.clients import Client

_CONNECTIONS: Final = 16
_MODEL: Final = "claude-sonnet-4-5"
_LONG: Final = "x" * 30_000


class Request(NamedTuple):
    """What is made up of a request; the rest is as usual."""

    model: str = _MODEL
    credential: str = "sk-ant-oat01-SOAK-0000-invented"
    path: str = "/v1/messages?beta=true"
    method: str = "POST"
    host: str = "127.0.0.1"
    lines: tuple[str, ...] = ()
    text: str = "hi"


Make = Callable[[int], Request]
_KEY: Final = "x-gateway-key: KEY"  # its place is taken by the key

INVENTIONS: Final[dict[str, Make]] = {
    "models": lambda n: Request(f"claude-made-up-{n}"),
    "models that Anthropic does not have": lambda n: Request(f"claude-made-up-{n}", lines=("x-soak: 404",)),
    "models when Anthropic is overloaded": lambda n: Request(f"claude-made-up-{n}", lines=("x-soak: 529", _KEY)),
    "long models": lambda n: Request(f"claude-made-up-{n}-{_LONG}"),
    "credentials": lambda n: Request(credential=f"sk-ant-oat01-SOAK-{n}"),
    "credentials that Anthropic refuses": lambda n: Request(
        credential=f"sk-ant-oat01-SOAK-{n}", lines=("x-soak: 401",)
    ),
    "credentials that may not use Bedrock": lambda n: Request(
        f"claude-made-up-{n}-bedrock", f"sk-ant-oat01-SOAK-{n}", lines=("x-soak: 401",)
    ),
    "models at Bedrock, refused": lambda n: Request(
        f"claude-made-up-{n}-bedrock", "sk-ant-oat01-SOAK-none", lines=("x-soak: 401",), text="x" * 3000
    ),
    "sessions, agents and projects": lambda n: Request(
        lines=(f"x-claude-code-session-id: {n}", f"x-claude-code-agent-id: a{n}", f"x-gateway-project: p{n}")
    ),
    "programs": lambda n: Request(lines=(f"user-agent: made-up-{n}/{n}",)),
    "betas": lambda n: Request(lines=(f"anthropic-beta: made-up-{n},another-{n}",)),
    "paths": lambda n: Request(path=f"/v1/made/up/{n}?x={n}"),
    "models by their path": lambda n: Request(path=f"/v1/models/claude-made-up-{n}", method="GET"),
    "methods": lambda n: Request(method=f"MADEUP{n}"),
    "foreign hosts": lambda n: Request(host=f"made-up-{n}.example"),
    "hosts of this machine": lambda n: Request(host=f"127.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}:{1 + n % 65000}"),
    "long Connection headers": lambda n: Request(lines=(f"connection: keep-alive, n{n}, " + f"ab{n}, " * 3000,)),
    "headers of the gateway's": lambda n: Request(lines=(f"x-gateway-made-up-{n}: {n}", f"x-gateway-key: wrong-{n}")),
    "statuses": lambda n: Request(lines=(f"x-soak: {200 + n % 400}",)),
    "Bedrock's API": lambda n: Request(path=f"/bedrock/model/us.anthropic.claude-made-up-{n}/invoke", lines=(_KEY,)),
    "counts at Bedrock": lambda n: Request(
        f"claude-made-up-{n}-bedrock", path="/v1/messages/count_tokens", lines=(_KEY,)
    ),
    "pages of the dashboard": lambda n: Request(
        path=f"/gateway/{n}?token=made-up-{n}", method="GET", lines=(f"cookie: made-up-{n}={n}",)
    ),
    "models at Bedrock": lambda n: Request(f"claude-made-up-{n}-bedrock", lines=(_KEY,)),
}


def _bytes_of(request: Request, key: str) -> bytes:
    body = json.dumps(
        {"model": request.model, "max_tokens": 9, "messages": [{"role": "user", "content": request.text}]}
    )
    content = "" if request.method == "GET" else body
    lines = [
        f"{request.method} {request.path} HTTP/1.1",
        f"host: {request.host}",
        f"authorization: Bearer {request.credential}",
        "anthropic-version: 2023-06-01",
        "content-type: application/json",
        *(line.replace("KEY", key) for line in request.lines),
        *((f"content-length: {len(content)}",) if content else ()),
    ]
    return "\r\n".join([*lines, "", content]).encode()


async def _ask(port: int, key: str, make: Make, numbers: "asyncio.Queue[int]", found: Counter[int]) -> None:
    client: Any = None
    loop = asyncio.get_running_loop()
    while not numbers.empty():
        number = numbers.get_nowait()
        if client is None or not client.is_open:
            _, client = await loop.create_connection(Client, "127.0.0.1", port)
        found[(await client.ask(_bytes_of(make(number), key), begins=False)).status] += 1
    if client is not None:
        client.close()


async def _run(port: int, key: str, what: str, begin: int, end: int) -> Counter[int]:
    numbers: asyncio.Queue[int] = asyncio.Queue()
    for number in range(begin, end):
        numbers.put_nowait(number)
    found: Counter[int] = Counter()
    await asyncio.gather(*(_ask(port, key, INVENTIONS[what], numbers, found) for _ in range(_CONNECTIONS)))
    return found


if __name__ == "__main__":
    port, key, what, begin, end = sys.argv[1:]
    print(json.dumps(uvloop.run(_run(int(port), key, what, int(begin), int(end)))))
