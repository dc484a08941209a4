"""Secrets in files of their own, created at the first start and readable by their owner only."""

import secrets
from pathlib import Path

from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.system import files, small_file


def read_or_make_gateway_key(file: Path) -> str:
    """Return the gateway key in *file*, which is created if missing. Raises GatewayError."""
    return read_or_make_secret(file, "cgw-", "the gateway key")


def read_or_make_secret(file: Path, prefix: str, what: str) -> str:
    """Return the secret in *file*, which is created if missing, readable by its owner only. Raises GatewayError."""
    try:
        try:
            secret = _secret_in(file)
            if secret:
                return secret
        except FileNotFoundError:
            pass
        made = f"{prefix}{secrets.token_urlsafe(32)}\n".encode()
        if not files.create(file, made) and not _secret_in(file):  # an empty file: the disk was full once
            files.write(file, made)
        return _secret_in(file)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise GatewayError(f"cannot keep {what} in {file}: {why}", list_command(file.parent, file)) from None


def _secret_in(file: Path) -> str:
    return small_file.read(file).decode().strip()
