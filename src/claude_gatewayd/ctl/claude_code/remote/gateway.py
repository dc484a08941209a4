"""Which remote gateway is meant: its URL and its key as a person gives them, and as settings.json has them."""

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from claude_gatewayd.ctl.claude_code import edit_settings, obstacles
from claude_gatewayd.ctl.claude_code.destinations import HEADERS, address
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget, key_in
from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.system import small_file
from claude_gatewayd.system.addresses import is_loopback

USAGE: Final = "claude-gatewayctl configure-claude --url https://gateway.example --key-file ~/gateway.key"
_LONGEST_KEY: Final = 512
_PATH: Final = re.compile(r"[\w.~/-]*", re.ASCII)  # nothing that a shell or a proxy would read in another way
_HOST: Final = re.compile(r"[\w.:-]+")


class RemoteGateway(NamedTuple):
    """The gateway that settings.json points at, where that is not the one of this machine."""

    url: str
    key: str

    def __repr__(self) -> str:  # no key in a traceback
        return f"RemoteGateway({self.url!r})"


def pointed_at(values: Mapping[str, Any], here: GatewayTarget) -> RemoteGateway | None:
    """Return the remote gateway that variables lead Claude Code to, None if they lead to this one or to none at all.

    A gateway gets a gateway key, and a remote one has a key of its own: with the key of *here*, an address without TLS
    is an old one of this machine's gateway.
    """
    url, key = address(values).rstrip("/"), key_in(values.get(HEADERS))
    is_ours = url == here.url or (key == here.key and url.startswith("http:"))
    if not url or not key or is_ours:
        return None
    return RemoteGateway(url, key)


def in_settings(environ: Mapping[str, str]) -> RemoteGateway | None:
    """Return the remote gateway that the person's settings, or managed ones, lead to; None if they lead to none."""
    return pointed_at(obstacles.in_effect(environ), edit_settings.here(environ))


def url_from(given: str) -> str:
    """Return the URL of a gateway as Claude Code is to have it. Raises GatewayError.

    The key and the person's own credential travel there, so without TLS it has to be this machine.
    """
    try:
        parts = urlsplit(given.strip())
        host, _port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _unusable(given, _begun_small(str(error))) from None
    if parts.scheme not in ("http", "https") or not host or host.startswith("-"):
        raise _unusable(given, "it must be a URL like https://gateway.example")
    if parts.username is not None or parts.password is not None:
        raise _unusable(f"{parts.scheme}://***@{host}", "it must hold no name or password; --key-file has the key")
    if parts.query or parts.fragment or not _PATH.fullmatch(parts.path) or not _HOST.fullmatch(host):
        raise _unusable(given, "it must end with its host, its port, or a path")
    if parts.scheme == "http" and not is_loopback(host):
        raise _unusable(given, "without TLS, others on the network can read the gateway key and your credential")
    if parts.path.rstrip("/").endswith("/v1"):
        raise _unusable(given, "Claude Code adds /v1 itself")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def key_from(file: Path) -> str:
    """Return the gateway key in a file that only its owner can read. Raises GatewayError."""
    try:
        status = file.stat()
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
            raise GatewayError(f"cannot use the key in {file}: others can read it", f"chmod 600 {quote(str(file))}")
        text = small_file.read(file, 64 * 1024).decode("ascii").strip()
    except OSError as error:
        why = _begun_small(error.strerror or str(error))
        raise GatewayError(f"cannot read the key in {file}: {why}", list_command(file)) from None
    except UnicodeDecodeError:
        text = "\0"
    if not text:
        raise GatewayError(f"cannot use the key in {file}: it is empty", list_command(file))
    if not text.isprintable() or " " in text or len(text) > _LONGEST_KEY:
        raise GatewayError(f"cannot use the key in {file}: it must hold the key alone, on one line", list_command(file))
    return text


def _begun_small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _unusable(url: str, why: str) -> GatewayError:
    return GatewayError(f"cannot use {url} as the gateway's address: {why}", USAGE)
