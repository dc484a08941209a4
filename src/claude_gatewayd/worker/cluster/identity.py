"""Who a gateway is to the others: its name, a mark of its daemon, and keys derived from the shared secret."""

import hashlib
import os
import socket
from pathlib import Path
from typing import Final, NamedTuple

from claude_gatewayd.config.model import SharedConfig
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import shared_secret

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class ClusterKeys(NamedTuple):
    """What is derived from the shared secret: for hashes of credentials, for messages, and to know the secret by."""

    credentials: str
    messages: bytes
    fingerprint: str

    def __repr__(self) -> str:
        return f"ClusterKeys(fingerprint={self.fingerprint!r})"


class SharedAccess(NamedTuple):
    """Whether this gateway may share: *keys* is None where it may not, as *why* says, with *hint*."""

    keys: ClusterKeys | None = None
    why: str = ""
    hint: str = ""


def access(shared: SharedConfig) -> SharedAccess:
    """Return whether the gateways of a database may share. A secret that cannot be used is no reason not to serve."""
    try:
        secret = shared_secret.read(Path(shared.secret_file))
    except GatewayError as error:
        return SharedAccess(None, error.message, error.hint)
    return SharedAccess(keys_of(secret))


def keys_of(secret: bytes) -> ClusterKeys:
    """Return the keys that are derived from a secret."""
    return ClusterKeys(
        shared_secret.derived(secret, "known credentials").hex(),
        shared_secret.derived(secret, "messages"),
        shared_secret.derived(secret, "fingerprint").hex()[:32],
    )


def daemon_mark(listener: socket.socket | None, gateway: str) -> str:
    """Return what the workers of one daemon have in common, and no others: they share its listening socket.

    What they let each other know goes through their supervisor, so they pass over one another's messages here.
    """
    try:
        machine = _BOOT.read_text()
    except OSError:
        machine = socket.gethostname()
    sock = "" if listener is None else f"{os.fstat(listener.fileno()).st_ino} {listener.getsockname()}"
    mark = f"{machine.strip()} {sock} {gateway}"
    return hashlib.blake2b(mark.encode(errors="replace"), digest_size=8).hexdigest()
