"""Whether the gateway's port answers is asked by what the gateway does not count, record or show as a request."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from claude_gatewayd.ctl.doctor.gather import why_no_answer
from claude_gatewayd.worker.gateway import own_pages


def test_a_look_at_the_port_is_no_request() -> None:
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert why_no_answer(f"http://127.0.0.1:{server.server_port}") == ""
        thread.join()
    assert [path.encode() in own_pages.PATHS for path in asked] == [True]
