"""The local address to which AWS redirects the browser after a login."""

import hmac
import queue
import secrets
import socketserver
import threading
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from claude_gatewayd.aws.sso.oidc import CALLBACK_PATH

_POLL_INTERVAL: Final = 0.05  # seconds until the server notices that it should stop
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto; padding: 0 1rem }}
@media (prefers-color-scheme: dark) {{ body {{ background: #181818; color: #eee }} }}</style></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class CallbackResult:
    """What the browser brought: a code, or AWS's error code if there is none."""

    code: str = field(default="", repr=False)
    error: str = ""


class CallbackServer:
    """Listen on 127.0.0.1, on a free port, until the block ends.

    A request without the right *state* is ignored: any page in any browser can send one here.
    """

    def __init__(self) -> None:
        self.state = secrets.token_urlsafe(32)
        self._results: queue.Queue[CallbackResult] = queue.Queue(1)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.callback = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_INTERVAL,), name="sso-callback", daemon=True
        )

    @property
    def redirect_uri(self) -> str:
        """Return the address to redirect to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{CALLBACK_PATH}"

    def wait(self, seconds: float) -> CallbackResult | None:
        """Return what the browser brought, None if it did not come within *seconds*."""
        try:
            return self._results.get(timeout=seconds)
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def respond(self, target: str) -> tuple[int, str, str]:
        """Handle a request; return the status, the title and the text of the page for it."""
        parts = urlsplit(target)
        if parts.path != CALLBACK_PATH:
            return 404, "Not here", "There is nothing at this address."
        query = {name: values[0] for name, values in parse_qs(parts.query).items() if len(values) == 1}
        if not hmac.compare_digest(query.get("state", "").encode(), self.state.encode()):
            return 400, "Another login", "This page belongs to another login, or to none. Nothing was changed."
        result = CallbackResult(query.get("code", ""), "" if query.get("code") else _error_code(query.get("error", "")))
        try:
            self._results.put_nowait(result)
        except queue.Full:
            pass  # the page was loaded again
        if result.code:
            return 200, "Approved", "Your terminal finishes the login. You can close this page."
        return 200, "Not approved", f"AWS says {result.error}. Your terminal says how to try again."


class _Server(socketserver.ThreadingTCPServer):
    """A thread for each connection: browsers open spare ones, and send nothing on them."""

    daemon_threads = True
    callback: CallbackServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a connection that broke."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10.0

    def do_GET(self) -> None:
        """Answer the browser."""
        assert isinstance(self.server, _Server)
        status, title, text = self.server.callback.respond(self.path)
        page = _PAGE.format(title=escape(title), text=escape(text)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(page)

    def version_string(self) -> str:
        """Return the Server header."""
        return "claude-gatewayctl"

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: the code is in the request line."""


def _error_code(text: str) -> str:
    """Return *text* if it looks like an OAuth error code: it is shown to a person."""
    return text if text.replace("_", "").isalpha() and text.isascii() and len(text) < 40 else "an unknown error"
