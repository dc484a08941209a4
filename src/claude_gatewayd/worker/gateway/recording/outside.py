"""Text from outside, as the ledger may have it: bounded and printable."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from claude_gatewayd.worker.relay.outgoing import PROJECT_HEADER

_LONGEST: Final = 100
_LONGEST_AGENT: Final = 200
_PROGRAM: Final = re.compile(r"([^\s/(;,]{1,40}(?:/[A-Za-z]{1,20})?)[/ ]v?(\d[^\s(;,]{0,30})?")


class Client(NamedTuple):
    """A program that asks."""

    name: str
    version: str


class Asker(NamedTuple):
    """What a request says of the program that sends it, and of what it is for. *address* is not the ledger's to know
    where only this machine's programs ask.
    """

    session_id: str
    agent_id: str
    project: str
    client: str
    version: str
    address: str = ""


def asker(fields: Mapping[bytes, bytes], address: str = "") -> Asker:
    """Return who sends a request, by its header fields, and from where."""
    name, version = client(fields.get(b"user-agent", b""))
    return Asker(
        text(fields.get(b"x-claude-code-session-id", b"")),
        text(fields.get(b"x-claude-code-agent-id", b"")),
        text(fields.get(PROJECT_HEADER, b"")),
        name,
        version,
        address,
    )


def text(value: bytes | str) -> str:
    """Return a text of a caller's on one line, 100 characters at most."""
    return _text(value[:_LONGEST]) if value else ""


@lru_cache(1024)  # sessions and models are the same from request to request
def _text(value: bytes | str) -> str:
    given = value.decode(errors="replace") if isinstance(value, bytes) else value
    return given if given.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in given)


def client(user_agent: bytes) -> Client:
    """Return who asks by a User-Agent: "claude-cli/2.1.330 (external, cli)", or "Anthropic/Python 0.97.0"."""
    return _client(user_agent[:_LONGEST_AGENT])


@lru_cache(256)  # a machine has few; a caller may send another with each request
def _client(user_agent: bytes) -> Client:
    given = text(user_agent).strip()
    found = _PROGRAM.match(f"{given} ")
    return Client(found[1], found[2] or "") if found is not None else Client(given[:40], "")
