"""People with keys, and the operator who hands them out."""

import http.client
import json
from pathlib import Path
from typing import Any

from tests.support.calls import HEADERS, message
from tests.support.daemon import Daemon
from tests.support.stage import Reply

REMOTE = "[listen]\nremote = true\nworkers = {workers}\n[router]\nnum_retries = 0\n[bedrock]\nthrough = 'direct'\n"
PATIENCE = 30.0


def made(daemon: Daemon, name: str, *words: str) -> str:
    """Have the operator make a key; return it."""
    done = daemon.ctl("keys", "add", name, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def listed(daemon: Daemon, *words: str) -> dict[str, dict[str, Any]]:
    """Return what `keys list --json` says of each name."""
    done = daemon.ctl("keys", "list", "--json", *words)
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["keys"]}


def ask(port: int, key: str, *, body: bytes | None = None, path: str = "/v1/messages", method: str = "POST") -> Reply:
    """Ask with a key, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        return ask_on(connection, key, body=body, path=path, method=method)
    finally:
        connection.close()


def ask_on(
    connection: http.client.HTTPConnection,
    key: str,
    *,
    body: bytes | None = None,
    path: str = "/v1/messages",
    method: str = "POST",
) -> Reply:
    """Ask with a key, on a connection that stays open."""
    headers = HEADERS | ({"x-gateway-key": key} if key else {})
    connection.request(method, path, (body or message()) if method == "POST" else None, headers)
    answer = connection.getresponse()
    return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def files_with(secret: str, directory: Path) -> list[Path]:
    """Return the files below a directory that hold a secret."""
    return [
        file
        for file in directory.rglob("*")
        if file.is_file() and not file.is_symlink() and secret.encode() in file.read_bytes()
    ]
