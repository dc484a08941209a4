"""A gateway as its page sees it: the files as they are, and states that a test chooses.

`python -m tests.fakes.dashboard [PORT] [STATE]` serves it for somebody who works on the page; `/be/STATE` changes the
state, and requests pass.
"""

import json
import mimetypes
import queue
import random
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qs, urlsplit

from tests.fakes import dashboard_data as data

STATIC = Path(__file__).parents[2] / "src" / "claude_gatewayd" / "dashboard" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


class FakeDashboard:
    """Serves the page. *state* may be changed at any time; *rows* are those that a new page is sent."""

    def __init__(self, state: data.State = "busy", port: int = 0, *, rows: list[dict[str, Any]] | None = None) -> None:
        self.state: data.State = state
        self.rows = rows if rows is not None else []
        self.is_logged_in = True
        self.history: dict[str, Any] = {"state": "ok"}  # what takes the place of the history's fields
        self.configuration: dict[str, Any] = {}
        self.findings_state = "done"
        self.done: list[str] = []  # the buttons that were pressed
        self._pages: list[queue.SimpleQueue[tuple[str, Any] | None]] = []
        self._server: _Server | None = _Server(("127.0.0.1", port), _Handler, self)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/gateway/"

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_away()

    def go_away(self) -> None:
        """End: no connection stays, and none is accepted."""
        self.cut()
        if self._server is not None:
            self._server.end()
            self._server = None

    def come_back(self) -> None:
        """Serve, on the same port as before."""
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), _Handler, self)
        self._server.thread.start()

    def be(self, state: data.State) -> None:
        """Be in another state, and send it to the pages."""
        self.state = state
        self.send("status", self.status())

    def status(self) -> dict[str, Any]:
        """Return the status as it is now."""
        return data.status(self.state, time.time())

    def send(self, event: str, content: Any) -> None:
        """Send an event to all pages."""
        if event == "requests":
            self.rows = [*self.rows, *content][-200:]
        for page in list(self._pages):
            page.put((event, content))

    def cut(self) -> None:
        """End the connections of all pages, as a restart does."""
        for page in list(self._pages):
            page.put(None)

    def stream(self, write: Any) -> None:
        """Send events to one page until it has gone."""
        mine: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._pages.append(mine)
        try:
            write(b"retry: 1000\n\n" + _event("status", self.status()) + _event("requests", self.rows))
            while True:
                try:
                    found = mine.get(timeout=15)
                except queue.Empty:
                    write(b": ping\n\n" + _event("status", self.status()))
                    continue
                if found is None:
                    return
                write(_event(*found))
        except OSError:
            return
        finally:
            self._pages.remove(mine)

    def json(self, path: str, query: dict[str, list[str]]) -> Any:
        """Return what a path answers, None if it is not one."""
        now = time.time()
        if path == "history":
            made = data.history(
                int(query["days"][0]), now, query.get("zone", ["UTC"])[0], empty=self.state == "empty"
            )  # fmt: skip
            return made | self.history
        if path == "configuration":
            return data.CONFIGURATION | self.configuration
        if path == "findings":
            done = self.findings_state == "done"
            return {"state": self.findings_state, "at": now - 60 if done else None,
                    "findings": data.FINDINGS if done else []}  # fmt: skip
        return None

    def do(self, action: str) -> dict[str, Any]:
        """Return what a button says."""
        self.done.append(action)
        if action == "log-in":
            self.send("login", {"state": "running", "message": "Confirm the login in your browser.",
                                "url": "https://device.sso.us-west-2.amazonaws.com/", "code": "ABCD-EFGH"})  # fmt: skip
        return {
            "reload": {"ok": True, "message": "Reloaded in 0.39 s: generation 4 is serving.", "hint": ""},
            "check-credentials": {"ok": False, "message": "AWS refused them: the SSO session has ended.",
                                  "hint": "claude-gatewayctl sso-login"},
            "log-in": {"ok": True, "message": "The login has started.", "hint": ""},
        }[action]  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], page: FakeDashboard) -> None:
        super().__init__(address, handler)
        self.page = page
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end(self) -> None:
        if self.thread.is_alive():
            self.shutdown()
            self.thread.join(5)
        self.server_close()
        for one in list(self._open):  # a kept connection would go on being answered
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a page may leave at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def page(self) -> FakeDashboard:
        return cast("_Server", self.server).page

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/gateway/")
        if parts.path.startswith("/be/"):
            self.page.be(cast("data.State", parts.path[4:]))
            self._answer(200, b"", "text/plain")
        elif parts.path == "/favicon.ico":
            self._answer(204, b"", "image/x-icon")
        elif not self.page.is_logged_in:
            self._answer(401, b"claude-gatewayctl dashboard", "text/plain")
        elif path == "live":
            self._answer(200, None, "text/event-stream")
            self.page.stream(self.wfile.write)
            self.close_connection = True
        elif path == "" or path.startswith("static/"):
            file = STATIC / (path.removeprefix("static/") or "index.html")
            if file.is_file():
                self._answer(200, file.read_bytes(), mimetypes.guess_type(file.name)[0] or "text/plain")
            else:
                self._answer(404, b"", "text/plain")
        elif (found := self.page.json(path, parse_qs(parts.query))) is not None:
            self._answer(200, json.dumps(found).encode(), "application/json")
        else:
            self._answer(404, b"", "text/plain")

    def do_POST(self) -> None:
        action = urlsplit(self.path).path.removeprefix("/gateway/do/")
        is_ours = self.headers["x-gateway-page"] == "1" and self.headers["origin"] == f"http://{self.headers['host']}"
        self.rfile.read(int(self.headers["content-length"] or 0))
        if not self.page.is_logged_in or not is_ours:
            self._answer(401 if is_ours else 403, b"", "text/plain")
        else:
            self._answer(200, json.dumps(self.page.do(action)).encode(), "application/json")

    def _answer(self, status: int, body: bytes | None, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("content-security-policy", POLICY)
        self.send_header("x-content-type-options", "nosniff")
        self.send_header("cache-control", "no-store")
        if body is None:
            self.send_header("connection", "close")
        else:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if body:
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def _event(name: str, content: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(content)}\n\n".encode()


def main() -> None:
    """Serve until Ctrl-C; a request passes every second."""
    port, state = (*sys.argv[1:], *("8765", "busy")[len(sys.argv) - 1 :])[:2]
    chance = random.Random(1)
    with FakeDashboard(cast("data.State", state), int(port), rows=data.rows(60, time.time())) as page:
        print(page.url)
        number = 10_000
        while True:
            time.sleep(chance.uniform(0.2, 1.6))
            number += 1
            if page.state != "empty":
                fallback = page.state in ("fallback", "limit-reached")
                page.send("requests", [data.row(time.time(), number, chance, fallback=fallback)])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
