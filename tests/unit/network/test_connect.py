"""Connecting: all addresses of a name, TLS that is verified, proxies that are asked by CONNECT."""

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import trustme

from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.network.connect import Connector, Origin
from claude_gatewayd.network.proxy import Proxy, parse
from claude_gatewayd.network.trust import CaFile, CaFileInvalid, context_for, decide
from tests.fakes.socks_proxy import SocksProxy
from tests.fakes.transport import settle
from tests.support.loop import on_uvloop

HOST = "upstream.test"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be an upstream."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)


class Overhear:
    """A conversation that keeps what it hears, and says nothing."""

    def __init__(self) -> None:
        self.heard = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.heard += data


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be silent."""
    await asyncio.sleep(60)


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be gone at once."""


class Listening:
    """A server of one conversation, on a port of loopback."""

    def __init__(self, conversation: Conversation, context: ssl.SSLContext | None = None) -> None:
        self.seen = 0
        self._conversation = conversation
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()
        await settle()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await self._conversation(reader, writer)
        writer.transport.abort()


class FakeProxy:
    """A conversation that opens tunnels to whatever listens on *port*, or answers *refusal*."""

    def __init__(self, port: int = 0, *, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.asked: list[bytes] = []
        self._port = port
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        for piece in (self._answer[:7], self._answer[7:20], self._answer[20:]):
            writer.write(piece)
            await asyncio.sleep(0)
        if self._port:
            there = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._copy(reader, there[1])),
                    asyncio.ensure_future(self._copy(there[0], writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            there[1].transport.abort()
        elif not self._answer:
            await asyncio.sleep(60)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(65536):
                writer.write(data)


class Certificates:
    """An authority that nobody knows, and certificates of it."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.file = str(directory / "ca.pem")
        authority.cert_pem.write_to_path(self.file)
        self.server = self._context(authority, HOST)
        self.other_name = self._context(authority, "other.test")
        self.proxy = self._context(authority, "proxy.test")

    def _context(self, authority: trustme.CA, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def resolve(names: Mapping[str, list[int] | Exception]) -> None:
    """Let the loop resolve *names*, to these ports of loopback or with this error, and no other."""
    loop = asyncio.get_running_loop()
    really = loop.getaddrinfo

    async def getaddrinfo(host: str, port: int, **more: Any) -> list[Any]:
        if host == "127.0.0.1":
            return await really(host, port, **more)
        found = names.get(host, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        if isinstance(found, Exception):
            raise found
        inet, stream = socket.AF_INET, socket.SOCK_STREAM
        return [(inet, stream, socket.IPPROTO_TCP, "", ("127.0.0.1", at or port)) for at in found]

    loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign, assignment]


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def trust(ca_file: str, environ: Mapping[str, str]) -> ssl.SSLContext:
    return context_for(decide(environ, CaFile("[network] ca_file", ca_file) if ca_file else None))


def connector(
    port: int,
    *,
    context: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
    seconds: float = 3.0,
    host: str = HOST,
) -> Connector:
    origin = Origin(host, port, context is not None, b"")
    return Connector(origin, seconds=seconds, proxy=proxy, context=context)


async def works(connect_to: Connector) -> None:
    """Connect, and do two exchanges."""
    connection = await connect_to()
    for _ in range(2):
        await answers(connection)
    connection.abort()
    await settle()


async def answers(connection: UpstreamConnection) -> None:
    sink = Pieces()
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"", without_body=False, complete=True)
    assert (await connection.answer(3.0)).status == 200
    connection.begin_pipe(sink, raw=True, silence=3.0)
    await connection.piped()
    assert sink.data == b"ok"
    assert connection.reusable
    connection.keep()


async def fails(connect_to: Connector) -> UpstreamFailed:
    with pytest.raises(UpstreamFailed) as caught:
        await connect_to()
    await settle()
    assert caught.value.silent
    assert not caught.value.stale
    return caught.value


class Pieces:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.source: Any = None

    def write(self, data: bytes | memoryview) -> None:
        self.data += data


# where an upstream is


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.anthropic.com", Origin("api.anthropic.com", 443, True, b"api.anthropic.com")),
        ("https://api.anthropic.com:443/", Origin("api.anthropic.com", 443, True, b"api.anthropic.com")),
        ("https://a.test:8443/x/y/", Origin("a.test", 8443, True, b"a.test:8443", b"/x/y")),
        ("http://a.test", Origin("a.test", 80, False, b"a.test")),
        ("http://a.test:443", Origin("a.test", 443, False, b"a.test:443")),
        ("http://[::1]:8080/p", Origin("::1", 8080, False, b"[::1]:8080", b"/p")),
        ("https://[2001:db8::1]", Origin("2001:db8::1", 443, True, b"[2001:db8::1]")),
    ],
)
def test_origin(url: str, origin: Origin) -> None:
    assert Origin.of(url) == origin


# names and addresses


@on_uvloop
async def test_plain() -> None:
    async with Listening(serve) as server:
        resolve({HOST: [server.port]})
        await works(connector(server.port))


@on_uvloop
async def test_an_address_needs_no_resolver() -> None:
    async with Listening(serve) as server:
        await works(connector(server.port, host="127.0.0.1"))


@on_uvloop
async def test_an_address_that_refuses_is_passed_over() -> None:
    async with Listening(serve) as server:
        resolve({HOST: [unused_port(), unused_port(), server.port]})
        await works(connector(server.port))


class Hanging:
    """A port that takes no more connections, and does not say so."""

    def __enter__(self) -> int:
        self._socks = [socket.socket()]
        self._socks[0].bind(("127.0.0.1", 0))
        self._socks[0].listen(0)
        address = self._socks[0].getsockname()
        for _ in range(4):
            self._socks.append(socket.socket())
            self._socks[-1].setblocking(False)
            self._socks[-1].connect_ex(address)
        port: int = address[1]
        return port

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        for sock in self._socks:
            sock.close()


@on_uvloop
async def test_an_address_that_hangs_is_not_waited_for() -> None:
    async with Listening(serve) as server:
        with Hanging() as port:
            resolve({HOST: [port, server.port]})
            begun = asyncio.get_running_loop().time()
            await works(connector(server.port))
            assert asyncio.get_running_loop().time() - begun < 1.5


@on_uvloop
async def test_all_addresses_refuse() -> None:
    for ports in ([unused_port()], [unused_port(), unused_port()]):
        resolve({HOST: ports})
        failed = await fails(connector(443))
        assert failed.kind == "connect"
        assert HOST in failed.detail
        assert "refused" in failed.detail.lower()


@on_uvloop
async def test_all_addresses_hang() -> None:
    with Hanging() as port:
        resolve({HOST: [port, port]})
        failed = await fails(connector(443, seconds=0.4))
        assert failed.kind == "timeout"
        assert failed.detail == f"{HOST} could not be reached within 0.4 s"


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL])
@on_uvloop
async def test_a_name_that_cannot_be_resolved(code: int) -> None:
    resolve({HOST: socket.gaierror(code, "no such name")})
    failed = await fails(connector(443))
    assert failed.kind == "offline"
    assert HOST in failed.detail
    assert "no such name" in failed.detail


@on_uvloop
async def test_a_resolver_that_hangs() -> None:
    async def forever(*_: Any, **__: Any) -> list[Any]:
        await asyncio.sleep(60)
        return []

    asyncio.get_running_loop().getaddrinfo = forever  # type: ignore[method-assign]
    assert (await fails(connector(443, seconds=0.2))).kind == "timeout"


# TLS


@on_uvloop
async def test_tls(certificates: Certificates) -> None:
    async with Listening(serve, certificates.server) as server:
        resolve({HOST: [server.port]})
        await works(connector(server.port, context=trust(certificates.file, {})))


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
@on_uvloop
async def test_an_authority_that_the_environment_names(certificates: Certificates, name: str) -> None:
    async with Listening(serve, certificates.server) as server:
        resolve({HOST: [server.port]})
        await works(connector(server.port, context=trust("", {name: certificates.file})))


@on_uvloop
async def test_extra_certificates_come_on_top(certificates: Certificates, tmp_path: Path) -> None:
    other = str(tmp_path / "other.pem")
    trustme.CA().cert_pem.write_to_path(other)
    async with Listening(serve, certificates.server) as server:
        resolve({HOST: [server.port]})
        for ca_file, environ in (
            (other, {"NODE_EXTRA_CA_CERTS": certificates.file}),
            (certificates.file, {"SSL_CERT_FILE": other, "NODE_EXTRA_CA_CERTS": "/no/such/file"}),
            (other, {"SSL_CERT_FILE": certificates.file}),
        ):
            await works(connector(server.port, context=trust(ca_file, environ)))
        failed = await fails(
            connector(server.port, context=trust("", {"SSL_CERT_FILE": other, "CURL_CA_BUNDLE": certificates.file}))
        )
        assert failed.kind == "certificate"  # the first store that is named is the store


@on_uvloop
async def test_an_unknown_authority(certificates: Certificates) -> None:
    upstream = Overhear()
    async with Listening(upstream, certificates.server) as server:
        resolve({HOST: [server.port]})
        failed = await fails(connector(server.port, context=trust("", {})))
        assert failed.kind == "certificate"
        assert f"the certificate of {HOST} is not trusted" in failed.detail
        assert "signed by trustme" in failed.detail
        assert "claude-gatewayctl config set network.ca_file" in failed.hint
    assert upstream.heard == b""  # the second handshake, which believes everything, is to look, and says nothing


@on_uvloop
async def test_a_certificate_of_another_name(certificates: Certificates) -> None:
    upstream = Overhear()
    async with Listening(upstream, certificates.other_name) as server:
        resolve({HOST: [server.port]})
        failed = await fails(connector(server.port, context=trust(certificates.file, {})))
        assert failed.kind == "certificate"
        assert "not trusted" in failed.detail
        assert "somebody else answers" in failed.detail
    assert upstream.heard == b""


@on_uvloop
async def test_an_upstream_that_speaks_no_tls(certificates: Certificates) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await asyncio.sleep(0.1)

    async with Listening(answer) as server:
        resolve({HOST: [server.port]})
        assert (await fails(connector(server.port, context=trust(certificates.file, {})))).kind == "tls"


@on_uvloop
async def test_an_upstream_that_leaves_or_hangs_in_the_handshake(certificates: Certificates) -> None:
    context = trust(certificates.file, {})
    async with Listening(leave) as server:
        resolve({HOST: [server.port]})
        assert (await fails(connector(server.port, context=context))).kind in ("connect", "tls")
    async with Listening(hang) as server:
        resolve({HOST: [server.port]})
        assert (await fails(connector(server.port, context=context, seconds=0.3))).kind == "timeout"


def test_what_is_trusted(certificates: Certificates) -> None:
    for context in (trust("", {}), trust(certificates.file, {})):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.raises(CaFileInvalid, match="No such file"):
        trust("/no/such/file", {})
    with pytest.raises(CaFileInvalid, match="NO_CERTIFICATE"):
        trust(__file__, {})


@on_uvloop
async def test_only_http_11_is_offered(certificates: Certificates) -> None:
    chosen: list[str | None] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await serve(reader, writer)

    certificates.server.set_alpn_protocols(["h2", "http/1.1"])
    async with Listening(look, certificates.server) as server:
        resolve({HOST: [server.port]})
        await works(connector(server.port, context=trust(certificates.file, {})))
    assert chosen == ["http/1.1"]


# proxies


def proxied(proxy: int, url: str = "http://proxy.test") -> Proxy:
    found = parse(url)
    return Proxy(found.host, proxy, found.tls, found.user)


@on_uvloop
async def test_through_a_proxy(certificates: Certificates) -> None:
    async with Listening(serve, certificates.server) as server:
        fake = FakeProxy(server.port)
        async with Listening(fake) as proxy:
            resolve({"proxy.test": [0]})  # the upstream's own name is the proxy's to resolve
            await works(connector(443, context=trust(certificates.file, {}), proxy=proxied(proxy.port)))
    assert fake.asked == [b"CONNECT upstream.test:443 HTTP/1.1\r\nHost: upstream.test:443\r\n\r\n"]


@on_uvloop
async def test_through_a_proxy_that_wants_a_password(certificates: Certificates) -> None:
    async with Listening(serve, certificates.server) as server:
        fake = FakeProxy(server.port)
        async with Listening(fake) as proxy:
            resolve({"proxy.test": [0]})
            who = proxied(proxy.port, "http://me:s%40crt@proxy.test")
            await works(connector(443, context=trust(certificates.file, {}), proxy=who))
    value = base64.b64encode(b"me:s@crt")
    assert fake.asked[0].endswith(b"\r\nProxy-Authorization: Basic " + value + b"\r\n\r\n")


@on_uvloop
async def test_through_a_proxy_to_a_plain_upstream() -> None:
    async with Listening(serve) as server:
        fake = FakeProxy(server.port)
        async with Listening(fake) as proxy:
            resolve({"proxy.test": [0]})
            await works(connector(8080, proxy=proxied(proxy.port)))
            await works(connector(8080, proxy=proxied(proxy.port), host="2001:db8::1"))
    assert fake.asked[0].startswith(b"CONNECT upstream.test:8080 ")
    assert fake.asked[1].startswith(b"CONNECT [2001:db8::1]:8080 HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n")


@on_uvloop
async def test_the_upstream_behind_a_proxy_is_verified(certificates: Certificates) -> None:
    for context, ca_file in ((certificates.other_name, certificates.file), (certificates.server, "")):
        upstream = Overhear()
        async with Listening(upstream, context) as server, Listening(FakeProxy(server.port)) as proxy:
            resolve({"proxy.test": [0]})
            failed = await fails(connector(443, context=trust(ca_file, {}), proxy=proxied(proxy.port)))
            assert failed.kind == "certificate"
            assert f"the certificate of {HOST} through the proxy proxy.test is not trusted" in failed.detail
        assert upstream.heard == b""


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", "407"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!", "403 Forbidden"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
        (b"<html>go away</html>\r\n\r\n", "not HTTP"),
        (b"rubbish\n", "not HTTP"),
        (b"HTTP/1.1 200", "closed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "not HTTP"),
    ],
)
@on_uvloop
async def test_a_proxy_that_refuses(certificates: Certificates, answer: bytes, word: str) -> None:
    for context in (None, trust(certificates.file, {})):
        async with Listening(FakeProxy(answer=answer)) as proxy:
            resolve({"proxy.test": [0]})
            failed = await fails(
                connector(443, context=context, proxy=proxied(proxy.port, "http://me:secret@proxy.test"))
            )
            assert failed.kind == "proxy"
            assert word in failed.detail
            assert "proxy" in failed.hint
            assert "secret" not in repr(failed) + failed.detail + failed.hint


@on_uvloop
async def test_a_proxy_that_cannot_be_reached(certificates: Certificates) -> None:
    resolve({"proxy.test": [0]})
    failed = await fails(connector(443, proxy=proxied(unused_port())))
    assert failed.kind == "connect"
    assert failed.detail == f"{HOST} through the proxy proxy.test could not be reached: connection refused"
    failed = await fails(connector(443, proxy=proxied(1, "http://nowhere.test")))
    assert failed.kind == "offline"
    assert "nowhere.test" in failed.detail
    async with Listening(leave) as proxy:
        assert (await fails(connector(443, proxy=proxied(proxy.port)))).kind == "proxy"
    async with Listening(hang) as proxy:
        assert (await fails(connector(443, proxy=proxied(proxy.port), seconds=0.3))).kind == "timeout"


@on_uvloop
async def test_a_proxy_that_opens_the_tunnel_and_leaves(certificates: Certificates) -> None:
    async with Listening(FakeProxy(answer=b"HTTP/1.1 200 OK\r\n\r\n")) as proxy:
        resolve({"proxy.test": [0]})
        failed = await fails(connector(443, context=trust(certificates.file, {}), proxy=proxied(proxy.port)))
        assert failed.kind in ("connect", "tls", "proxy")


@on_uvloop
async def test_tls_in_tls(certificates: Certificates) -> None:
    async with Listening(serve, certificates.server) as server:
        fake = FakeProxy(server.port)
        async with Listening(fake, certificates.proxy) as proxy:
            resolve({"proxy.test": [0], "other.test": [0]})
            context = trust(certificates.file, {})
            await works(connector(443, context=context, proxy=proxied(proxy.port, "https://proxy.test")))
            failed = await fails(connector(443, context=context, proxy=proxied(proxy.port, "https://other.test")))
            assert failed.kind == "certificate"
            assert "the certificate of the proxy other.test is not trusted" in failed.detail
            assert len(fake.asked) == 1


@on_uvloop
async def test_a_plain_upstream_through_a_tls_proxy(certificates: Certificates) -> None:
    async with Listening(serve) as server, Listening(FakeProxy(server.port), certificates.proxy) as proxy:
        resolve({"proxy.test": [0]})
        through = proxied(proxy.port, "https://proxy.test")
        await works(
            Connector(
                Origin(HOST, 80, tls=False, authority=b""),
                seconds=3.0,
                proxy=through,
                context=trust(certificates.file, {}),
            )
        )


@on_uvloop
async def test_through_a_socks_proxy(certificates: Certificates) -> None:
    """The proxy is given the name: who needs one may have no resolver for it."""
    async with Listening(serve, certificates.server) as server:
        with SocksProxy({f"{HOST}:443": server.port}, user="me:p@ss") as proxy:
            through = parse(f"socks5://me:p%40ss@127.0.0.1:{proxy.port}")
            await works(connector(443, context=trust(certificates.file, {}), proxy=through))
            failed = await fails(connector(444, context=trust(certificates.file, {}), proxy=through))
            assert (failed.kind, failed.detail) == ("proxy", "the proxy refused: Connection not allowed by ruleset")
            stranger = parse(f"socks5://127.0.0.1:{proxy.port}")
            failed = await fails(connector(443, context=trust(certificates.file, {}), proxy=stranger))
            assert failed.kind == "proxy"
            assert proxy.asked == [f"{HOST}:443", f"{HOST}:444"]
    failed = await fails(connector(443, proxy=parse(f"socks5://127.0.0.1:{unused_port()}")))
    assert failed.kind == "connect"
    async with Listening(hang) as silent:
        failed = await fails(connector(443, proxy=parse(f"socks5://127.0.0.1:{silent.port}"), seconds=0.3))
        assert failed.kind == "timeout"


@pytest.mark.parametrize("proxy", [None, "http://proxy..corp:3128", f"http://{'a' * 64}.corp:1", "socks5://a..b:1"])
@on_uvloop
async def test_a_name_that_cannot_be_one_is_a_failure_like_others(proxy: str | None) -> None:
    context = ssl.create_default_context()
    for host in (HOST if proxy else "two..dots", ".corp", f"{'a' * 64}.corp"):
        connector = Connector(
            Origin.of(f"https://{host}"), seconds=2, proxy=parse(proxy) if proxy else None, context=context
        )
        with pytest.raises(UpstreamFailed) as caught:
            await connector()
        assert caught.value.kind == "connect"
        assert "not the name of a host" in caught.value.detail
