"""The secret that gateways of one cluster share: what may be one, and the keys that are derived from it."""

import hmac
import os
import stat
from collections.abc import Collection
from pathlib import Path
from shlex import quote
from typing import Final

from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.system import small_file

_LEAST: Final = 32  # bytes
_MOST: Final = 4096
_LABEL: Final = b"claude-gatewayd "


def read(file: Path) -> bytes:
    """Return the secret in *file*. Raises GatewayError, whose hint says what to do."""
    shown = quote(str(file))
    make = f"openssl rand -base64 32 > {shown}; chmod 600 {shown}    # once, then copy it to all gateways"
    try:
        status = file.stat()  # of a symlink's target: Kubernetes mounts secrets as symlinks
        if not stat.S_ISREG(status.st_mode):
            raise GatewayError(f"cannot use the shared secret {file}: it is not a file", list_command(file))
        if who := readable_by(status.st_mode, status.st_uid, status.st_gid, own_groups()):
            raise GatewayError(f"cannot use the shared secret {file}: {who} can read it", f"chmod 600 {shown}")
        secret = small_file.read(file, _MOST).rstrip(b"\r\n")
    except FileNotFoundError:
        raise GatewayError(f"cannot use the shared secret {file}: there is no such file", make) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise GatewayError(f"cannot use the shared secret {file}: {why.lower()}", list_command(file)) from None
    if not secret:
        raise GatewayError(f"cannot use the shared secret {file}: it is empty", make)
    if len(secret) < _LEAST:
        why = f"it has {len(secret)} bytes, and needs {_LEAST} at least"
        raise GatewayError(f"cannot use the shared secret {file}: {why}", make)
    return secret


def readable_by(mode: int, owner: int, group: int, ours: Collection[int]) -> str:
    """Return who else may read or change a file, "" if nobody.

    A group may read a file of root's if this process is one of it: so Kubernetes mounts a secret, 0440 root:fsGroup,
    for a process that is not root.
    """
    if mode & 0o007:
        return "other users"
    if mode & 0o020 or (mode & 0o040 and not (owner == 0 and group in ours)):
        return "its group"
    return ""


def own_groups() -> frozenset[int]:
    """Return the groups of this process."""
    return frozenset((os.getegid(), *os.getgroups()))


def derived(secret: bytes, label: str) -> bytes:
    """Return a key of 32 bytes for one purpose. Whoever has it knows neither the secret nor its other keys."""
    return hmac.digest(secret, _LABEL + label.encode(), "sha256")
