"""A gateway in front of itself: a base_url that leads back through a forwarder."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from claude_gatewayd.worker.relay import forwarding_loops
from tests.scenarios.relay.raw import JSON, ask, messages, request
from tests.support.daemon import Daemon

CALLS = {
    "message": messages("[[x]]"),
    "stream": messages("[[x]]", stream=True),
    "get": request("GET", "/v1/models"),
    "upload": request("POST", "/v1/files", JSON, body=b"{}"),
}


class Forwarder:
    """Passes bytes on to a port that is known later, as `ssh -L` or socat does; counts the connections."""

    def __init__(self) -> None:
        self.to = 0
        self.connections = 0
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def _start(self, run: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            there = socket.create_connection(("127.0.0.1", self.to))
            self._open += (here, there)
            self._start(partial(self._pass_on, here, there))
            self._start(partial(self._pass_on, there, here))

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # either side may go at any time

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(5)
        for sock in (self._listener, *self._open):
            sock.close()


@contextmanager
def forwarder() -> Iterator[Forwarder]:
    made = Forwarder()
    try:
        yield made
    finally:
        made.close()


def test_a_base_url_that_leads_back_is_told_at_once() -> None:
    with forwarder() as back, Daemon(upstream=back.url) as daemon:
        back.to = daemon.port
        for data in CALLS.values():
            back.connections = 0
            reply = ask(daemon.port, data)
            assert reply.status == 508
            assert back.url in json.loads(reply.body)["error"]["message"]
            assert "leads back to this gateway" in json.loads(reply.body)["error"]["message"]
            assert reply.values("x-should-retry") == [b"false"]
            assert back.connections <= 1


def test_a_circle_of_two() -> None:
    with forwarder() as back, Daemon(upstream=back.url) as one, Daemon(upstream=one.url) as other:
        back.to = other.port
        assert ask(other.port, CALLS["message"]).status == 508
        assert back.connections <= 2


@pytest.mark.parametrize(
    ("host", "passed", "line"),
    [
        ("api.anthropic.com", None, None),
        ("api.anthropic.com", b"other", None),
        ("127.0.0.1", None, [b"OURS"]),
        ("::1", b"other", [b"other", b"OURS"]),
    ],
)
def test_only_what_stays_on_this_machine_is_marked(host: str, passed: bytes | None, line: list[bytes] | None) -> None:
    fields = {} if passed is None else {forwarding_loops.HEADER: passed}
    mark = forwarding_loops.mark(fields, host)
    if line is None:
        assert mark is None
        return
    assert mark is not None
    name, _, value = mark.partition(b": ")
    assert name == forwarding_loops.HEADER
    *before, ours = value.split(b", ")
    assert before == line[:-1]
    assert forwarding_loops.comes_back({name: value})
    assert forwarding_loops.comes_back({name: value + b", others"})
    assert not forwarding_loops.comes_back({name: b"others"})
    assert len(ours) == 16


def test_no_row_of_gateways_is_endless() -> None:
    row = b", ".join(b"%d" % number for number in range(8))
    assert forwarding_loops.comes_back({forwarding_loops.HEADER: row})
    assert not forwarding_loops.comes_back({forwarding_loops.HEADER: row[:-3]})
    assert not forwarding_loops.comes_back({})
