"""Who is calling, and whether they may."""

import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from claude_gatewayd.errors import GatewayError

GATEWAY_KEY_HEADER = b"x-gateway-key"

# Headers that are for a gateway. They go to no upstream.
FOR_THE_GATEWAY = frozenset((GATEWAY_KEY_HEADER, b"x-litellm-api-key"))

_FORM = re.compile(rb"sk-ant-(oat|api)\d*-")


class Form(Enum):
    """What a credential looks like. It says nothing of whether it is good: only Anthropic can."""

    SUBSCRIPTION = "subscription"
    API_KEY = "api-key"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who brings a credential for Anthropic. The credential itself is kept nowhere."""

    form: Form


def caller(fields: Mapping[bytes, bytes]) -> Caller | None:
    """Return who calls, or None where neither a bearer nor an API key is sent."""
    authorization = fields.get(b"authorization", b"").strip()
    key = fields.get(b"x-api-key", b"").strip()
    if not authorization and not key:
        return None
    match = _FORM.match(key or authorization.rpartition(b" ")[2])
    if match is None:
        return Caller(Form.OTHER)
    return Caller(Form.SUBSCRIPTION if match[1] == b"oat" else Form.API_KEY)


def has_gateway_key(fields: Mapping[bytes, bytes], key: str) -> bool:
    """Say whether the caller knows the gateway's key, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(fields.get(GATEWAY_KEY_HEADER, b"").strip(), key.encode())


def read_or_make_gateway_key(file: Path) -> str:
    """Return the key in *file*, made at the first start, readable by its owner alone. Raises GatewayError."""
    try:
        try:
            key = file.read_text().strip()
            if key:
                return key
        except FileNotFoundError:
            pass
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        key = f"cgw-{secrets.token_urlsafe(32)}"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(key + "\n")
        try:
            os.link(beside, file)  # whoever is first wins, also among two daemons
        except FileExistsError:
            if file.stat().st_size == 0:
                beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise GatewayError(f"cannot keep the gateway key in {file}: {why}", f"ls -ld {file.parent} {file}") from None
