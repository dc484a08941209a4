"""Secrets go one way: what a caller brings is in nothing that the daemon writes, says or keeps."""

import base64
import contextlib
import shutil
import signal
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self, get_args

import pytest
import trustme

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_steps import Cut
from tests.fakes.upstream import Upstream, says
from tests.scenarios.relay.raw import HOST, JSON, RawClient, RawReply, ask, chunked, messages, request
from tests.support.calls import message
from tests.support.canary import CANARY, PASSWORD, hold_nowhere, holds, written
from tests.support.daemon import Daemon, wait_until

CONFIG = """
[listen]
remote = true
max_body = "64 KiB"

[anthropic]
first_byte_timeout = 0.3
response_timeout = 0.5

[router]
num_retries = 1
retry_after = 0

[aliases]
quick = "claude-haiku-5-5"

[log]
level = "debug"
"""
BEARER = f"sk-ant-oat01-{CANARY}-bearer-000000000000AA"
API_KEY = f"sk-ant-api03-{CANARY}-apikey-000000000000AA"
GATEWAY_KEY = f"cgw-{CANARY}-gateway-0000000000000000000"
OWN_KEY = b"x-gateway-key: " + GATEWAY_KEY.encode()
BY_BEARER = b"Authorization: Bearer " + BEARER.encode()
BY_KEY = b"x-api-key: " + API_KEY.encode()


class Caller:
    """Ask with secrets, and hold that no answer of the gateway's own has one."""

    def __init__(self, daemon: Daemon) -> None:
        self.port = daemon.port
        self.statuses: list[int] = []

    def __call__(self, data: bytes, *, own: bool = True) -> RawReply:
        reply = ask(self.port, data)
        self.statuses.append(reply.status)
        if own:
            assert not holds(b"\n".join([reply.reason, *reply.lines, reply.body])), reply
        return reply

    def broken(self, data: bytes) -> None:
        """Ask where the answer may break off."""
        with RawClient(self.port) as client, contextlib.suppress(ConnectionResetError):
            client.send(data)
            client.half_close()
            client.to_the_end()
        assert not holds(client.seen)


def message_with_secrets(*, stream: bool = True, by: bytes = BY_BEARER) -> bytes:
    return messages("hi", OWN_KEY, stream=stream, credential=by)


def everything_that_succeeds(fake: FakeAnthropic, call: Caller) -> None:
    for by in (BY_BEARER, BY_KEY, BY_BEARER + b"\r\n" + BY_KEY):
        for stream in (True, False):
            assert call(message_with_secrets(stream=stream, by=by)).status == 200
        assert call(request("GET", "/v1/models", OWN_KEY, credential=by)).status == 200
    body = message(model="quick")
    assert call(request("POST", "/v1/messages", JSON, OWN_KEY, body=body, credential=BY_KEY)).status == 200
    call(request("POST", "/v1/files", OWN_KEY, b"Transfer-Encoding: chunked", credential=BY_KEY) + chunked([b"x"]))
    fake.die_on_reuse_next()
    assert call(message_with_secrets()).status == 200


def everything_that_fails(fake: FakeAnthropic, call: Caller) -> None:
    for status in (400, 401, 403, 404, 413, 429):
        fake.fail_next(status)
        assert call(message_with_secrets()).status == status
    for status in (500, 502, 503, 504, 529):
        fake.fail_next(status, times=2)
        assert call(message_with_secrets(by=BY_KEY)).status == status
    for after in get_args(Cut):
        fake.close_idle_now()
        fake.cut_next(after, "reset", times=2)
        call.broken(message_with_secrets(stream=after != "head"))
        fake.clear_faults()
    fake.end_without_message_stop_next()
    call(message_with_secrets())
    fake.first_event_error_next()
    call(message_with_secrets())
    fake.html_next()
    call(message_with_secrets())
    for rubbish in (
        BEARER,
        f"HTTP/1.1 {BEARER} x\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{BEARER}\r\n\r\n",
        f"{API_KEY} \r\n\r\n",
    ):
        fake.close_idle_now()
        for _ in range(2):
            fake.garbage_next(rubbish.encode())
        assert call(message_with_secrets()).status == 502
    fake.hold_next("head")
    assert call(message_with_secrets()).status == 504
    fake.release()
    fake.stall_next()
    assert b"event: error" in call(message_with_secrets()).body
    fake.refuse_connections()
    fake.close_idle_now()
    assert call(message_with_secrets()).status == 502
    fake.accept_connections()


def everything_that_is_refused(call: Caller) -> None:
    secret = BEARER.encode()
    post = b"POST /v1/messages HTTP/1.1\r\n%b\r\n%b\r\n" % (HOST, OWN_KEY)
    refused = {
        401: [
            messages("hi", OWN_KEY, credential=b"X-Other: " + secret),
            messages("hi", b"x-gateway-key: " + GATEWAY_KEY[:-1].encode(), credential=BY_BEARER),
            messages("hi", b"x-litellm-api-key: " + secret, credential=BY_BEARER),
            b"GET /v1/models?key=%b HTTP/1.1\r\n%b\r\n\r\n" % (secret, HOST),
        ],
        403: [messages("hi", OWN_KEY, b"Origin: https://" + secret, credential=BY_KEY)],
        421: [
            messages("hi", OWN_KEY, credential=BY_KEY).replace(HOST, b"Host: " + secret),
            b"GET http://%b/v1 HTTP/1.1\r\n%b\r\n\r\n" % (secret, HOST),
        ],
        413: [request("POST", "/v1/messages", OWN_KEY, body=secret * 9000, credential=BY_KEY)],
        400: [
            post + b"Authorization Bearer " + secret + b"\r\n\r\n",
            post + b"Authorization: Bearer\r\n " + secret + b"\r\n\r\n",
            post + b"Authorization: Bearer\r" + secret + b"\r\n\r\n",
            post + b"Authorization: \x00" + secret + b"\r\n\r\n",
            post + BY_BEARER + b"\r\n" + BY_BEARER + b"\r\n\r\n",
            post + secret + b"(: x\r\n\r\n",
            post + b"Content-Length: " + secret + b"\r\n\r\n",
            secret + b" / HTTP/1.1\r\n\r\n",
            b"GET " + secret + b"\r\n\r\n",
            post + BY_KEY + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + b"\r\n",
        ],
        431: [post + b"X-A: " + secret * 2000 + b"\r\n\r\n"],
    }
    for status, requests in refused.items():
        for data in requests:
            assert call(data).status == status
    call.broken(message_with_secrets()[:-9])
    call.broken(message_with_secrets()[:90])
    call.broken(request("POST", "/v1/files", OWN_KEY, b"Content-Length: 99", credential=BY_KEY) + b"x")


def everything_that_is_left(fake: FakeAnthropic, call: Caller) -> None:
    leave = [RawClient.close, RawClient.reset]
    for way in leave:
        for data in (
            message_with_secrets(),
            request("POST", "/v1/files", OWN_KEY, b"Content-Length: 9", credential=BY_KEY),
        ):
            seen = len(fake.requests)
            hold = fake.hold_next("head")
            with RawClient(call.port) as client:
                client.send(data)
                fake.wait_for_heads(seen + 1)
                way(client)
            hold.release()
            fake.clear_faults()


def test_of_a_caller(tmp_path: Path) -> None:
    with FakeAnthropic() as fake:
        daemon = Daemon(upstream=fake.url, config=CONFIG)
        key_file = daemon.home / "s" / "claude-gateway" / "gateway.key"
        key_file.parent.mkdir(parents=True, mode=0o700)
        key_file.write_text(GATEWAY_KEY + "\n")
        key_file.chmod(0o600)
        with daemon:
            assert daemon.ctl("key").stdout.strip() == GATEWAY_KEY
            call = Caller(daemon)
            everything_that_succeeds(fake, call)
            everything_that_fails(fake, call)
            everything_that_is_refused(call)
            everything_that_is_left(fake, call)
            hold_nowhere(daemon, but=key_file)

            # killed with a request on its hands: the stack of each of its threads goes to the log
            hold = fake.hold_next("head")
            workers = daemon.workers()
            with RawClient(daemon.port) as client:
                client.send(message_with_secrets())
                hold.wait_reached()
                for worker in workers:
                    daemon.kill(worker, signal.SIGABRT)
                wait_until(lambda: "Fatal Python error: Aborted" in daemon.log)
                wait_until(lambda: daemon.workers() and not set(daemon.workers()) & set(workers))
                wait_until(daemon.answers)
            fake.release()
            assert call(message_with_secrets()).status == 200
            assert daemon.ctl("reload").returncode == 0
            hold_nowhere(daemon, but=key_file)
            daemon.signal(signal.SIGTERM)
            daemon.wait()
            for path, data in written(daemon.home):
                assert path == key_file or not holds(data), path
            shutil.copy(daemon.log_file, tmp_path)
        heads = b"".join(recorded.head for recorded in fake.requests)
        assert BEARER.encode() in heads
        assert API_KEY.encode() in heads
        assert GATEWAY_KEY.encode() not in heads
        assert b"x-gateway" not in heads.lower()
        assert set(call.statuses) >= {200, 400, 401, 403, 404, 413, 421, 429, 431, 500, 502, 503, 504, 529}
        # and what was looked for could have been found
        assert holds(heads)
        assert holds(base64.b64encode(BEARER.encode()))


def test_of_an_answer_that_tells_it_back(tmp_path: Path) -> None:
    """What an upstream puts where an answer is broken gets into no error text."""
    with Upstream() as upstream, Daemon(upstream=upstream.url, config=CONFIG.replace("remote = true", "")) as daemon:
        call = Caller(daemon)
        for answer in (
            b"HTTP/1.1 200 %b\r\nContent-Length: x%b\r\n\r\n",
            b"HTTP/1.1 200 %b\r\nTransfer-Encoding: %b\r\n\r\n",
            b"HTTP/9.9 200 %b\r\nX: %b\r\n\r\n",
            b"%b\n%b",
        ):
            for _ in range(2):
                upstream.will(says(answer % (BEARER.encode(), API_KEY.encode())))
            assert call(messages(credential=BY_BEARER)).status == 502
        upstream.will(
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", BEARER.encode() + b"\r\n")
        )
        call.broken(messages(credential=BY_BEARER))
        hold_nowhere(daemon)


# The proxy's password.


class Proxy:
    """A proxy that tunnels everything to one port, or refuses with an answer of its own."""

    def __init__(self, port: int) -> None:
        self.heads: list[bytes] = []
        self.answer = b""
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def _run(self, *work: object) -> None:
        run, *arguments = work
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(conn)
            self._run(self._serve, conn)

    def _serve(self, conn: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = conn.recv(65536)
            if not data:
                return
            head += data
        self.heads.append(head)
        if self.answer:
            conn.sendall(self.answer)
            conn.close()
            return
        other = socket.create_connection(("127.0.0.1", self._to))
        self._open.append(other)
        conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._run(self._pump, other, conn)
        self._pump(conn, other)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for conn in self._open:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for conn in self._open:
            conn.close()


NAME = "api.anthropic.test"
LOUD = "[log]\nlevel = 'debug'\n[router]\nnum_retries = 1\nretry_after = 0\n"


@pytest.mark.parametrize("variable", ["CLAUDE_GATEWAY_ANTHROPIC_PROXY", "HTTPS_PROXY"])
def test_of_a_proxy(tmp_path: Path, variable: str) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with FakeAnthropic(tls=context) as fake, Proxy(fake.port) as proxy:
        secret = PASSWORD.replace("@", "%40").replace("/", "%2F")
        environ = {
            variable: f"http://user:{secret}@127.0.0.1:{proxy.port}",
            "CLAUDE_GATEWAY_ANTHROPIC_CA_FILE": str(tmp_path / "ca.pem"),
        }
        upstream = f"https://{NAME}:{fake.port}"
        with Daemon(upstream=upstream, config=LOUD, environ=environ) as daemon:
            call = Caller(daemon)
            for stream in (True, False):
                assert call(messages(stream=stream, credential=BY_BEARER)).status == 200
            basic = base64.b64encode(f"user:{PASSWORD}".encode())
            assert b"Proxy-Authorization: Basic " + basic in proxy.heads[0].split(b"\r\n")
            for answer in (
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
                b"HTTP/1.1 502 Bad Gateway\r\n\r\n" + basic,
                b"rubbish " + basic + b"\r\n\r\n",
                basic,
            ):
                fake.close_idle_now()
                proxy.answer = answer
                reply = call(messages(credential=BY_KEY))
                assert reply.status == 502
                assert "proxy" in reply.error()
            for worker in daemon.workers():
                daemon.kill(worker, signal.SIGABRT)
            wait_until(lambda: "Fatal Python error: Aborted" in daemon.log)
            wait_until(daemon.answers)
            hold_nowhere(daemon)
        assert not any(CANARY.encode() in recorded.head.replace(BEARER.encode(), b"") for recorded in fake.requests)
        assert all(recorded.header("proxy-authorization") is None for recorded in fake.requests)


@pytest.mark.parametrize(
    "form", ["ftp://user:{}@127.0.0.1:1", "http://user:{}@127.0.0.1:1/path", "user:{}@ho st", "{}@"]
)
def test_of_a_proxy_that_is_none(form: str) -> None:
    """Refused with its place, not with its password: at the start, and on a reload."""
    daemon = Daemon(environ={"CLAUDE_GATEWAY_ANTHROPIC_PROXY": form.format(PASSWORD)})
    try:
        daemon.spawn()
        wait_until(lambda: "CLAUDE_GATEWAY_ANTHROPIC_PROXY" in daemon.log)
        hold_nowhere(daemon)
    finally:
        daemon.close()
    with Daemon(upstream="http://127.0.0.1:9", config="[log]\nlevel = 'debug'\n") as daemon:
        daemon.config_file.write_text(f"[anthropic]\nproxy = '{form.format(PASSWORD)}'\n")
        done = daemon.ctl("reload")
        assert done.returncode == 1
        assert "proxy" in done.stderr
        assert not holds((done.stdout + done.stderr).encode())
        hold_nowhere(daemon, but=daemon.config_file)
