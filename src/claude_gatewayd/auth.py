"""Who is calling, and whether they may."""

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from claude_gatewayd.errors import GatewayError

GATEWAY_KEY_HEADER = b"x-gateway-key"

# Headers that are for a gateway. They go to no upstream.
FOR_THE_GATEWAY = frozenset((GATEWAY_KEY_HEADER, b"x-litellm-api-key"))


def has_credential(fields: Mapping[bytes, bytes]) -> bool:
    """Say whether a credential for Anthropic is there: a bearer or an API key. Only Anthropic can say if it is good."""
    return bool(fields.get(b"authorization") or fields.get(b"x-api-key"))


def has_gateway_key(fields: Mapping[bytes, bytes], key: str) -> bool:
    """Say whether the caller knows the gateway's key, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(fields.get(GATEWAY_KEY_HEADER, b""), key.encode())


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
            if not file.read_text().strip():
                beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise GatewayError(f"cannot keep the gateway key in {file}: {why}", f"ls -ld {file.parent} {file}") from None
