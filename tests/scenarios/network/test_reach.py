"""A handshake that shows what only a person can mend, before anybody needs the upstream."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from claude_gatewayd.config import loading as config
from claude_gatewayd.config.model import Anthropic, Config, Network
from claude_gatewayd.ctl.doctor import network
from claude_gatewayd.network import egress, reach
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.network.trust import CaFile
from tests.fakes.inspection import Inspection

ANTHROPIC = "api.anthropic.com"


@asynccontextmanager
async def listening(context: ssl.SSLContext | None, port: int = 0) -> AsyncIterator[int]:
    """Listen, and hear a word of nobody."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.read(1) == b""
        except ConnectionError:
            pass
        writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", port, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def test_what_a_person_mends_is_told_and_taken_back(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    known, other = Inspection(tmp_path), Inspection(tmp_path / "other")
    changes: list[int] = []

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            port = bound.getsockname()[1]
        named = CaFile("[network] ca_file", known.ca_file)
        watch = reach.ReachabilityWatch(
            "Bedrock", f"https://127.0.0.1:{port}", Egress({}, (named,)), lambda: changes.append(1)
        )
        failed = await watch.look()
        assert failed is not None
        assert failed.kind == "connect"
        assert not any(watch.snapshot().values())  # it may pass
        async with listening(other.server, port):
            assert await watch.look() is not None
        found = watch.snapshot()
        assert "the certificate of 127.0.0.1 is not trusted" in found["unreachable"]
        assert "network.ca_file" in found["unreachable_hint"]
        async with listening(known.server, port):
            assert await watch.look() is None
        assert not any(watch.snapshot().values())
        assert len(changes) == 2
        await watch.close()

    asyncio.run(run())


def test_it_has_an_end(tmp_path: Path) -> None:
    """Whoever takes the connection and says nothing is not waited for."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        failed = reach.handshake_blocking(f"https://127.0.0.1:{silent.getsockname()[1]}", Egress({}), 0.3)
    assert failed is not None
    assert failed.kind == "timeout"
    assert time.monotonic() - begun < 3


def test_what_cannot_be_used_is_told_with_its_place() -> None:
    failed = reach.handshake_blocking("https://x.test", Egress({"SSL_CERT_FILE": "/no/such/file"}), 1)
    assert failed is not None
    assert "environment SSL_CERT_FILE: is no file of certificates" in failed.detail
    assert failed.kind in reach.LASTING


def test_the_older_names_go_on_working() -> None:
    """[anthropic] ca_file is believed for all; a proxy of [anthropic] is for Anthropic alone."""
    old = Config(anthropic=Anthropic(ca_file="/old.pem", proxy="http://a:1"), network=Network("http://b:2", "/new.pem"))
    for found in (egress.of(old, {}), egress.to_anthropic(old, {})):
        assert [file.path for file in found.ca_files] == ["/new.pem", "/old.pem"]
    of_aws = egress.of(old, {}).proxy_to("aws.test", 443, tls=True)
    of_anthropic = egress.to_anthropic(old, {}).proxy_to(ANTHROPIC, 443, tls=True)
    assert of_aws is not None
    assert of_anthropic is not None
    assert (of_aws.host, of_anthropic.host) == ("b", "a")
    new = Config(network=Network(proxy="http://b:2"))
    of_anthropic = egress.to_anthropic(new, {"HTTPS_PROXY": "http://c:3"}).proxy_to(ANTHROPIC, 443, tls=True)
    assert of_anthropic is not None
    assert of_anthropic.host == "b"


def test_a_configuration_that_is_wrong_elsewhere_still_names_the_ca(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    environ = {
        "HOME": str(tmp_path), "CLAUDE_GATEWAY_NETWORK_CA_FILE": f"{tmp_path}/ca.pem", "CLAUDE_GATEWAY_LOG_LEVEL": "x"
    }  # fmt: skip
    assert config.load_with_defaults(environ).network.ca_file == f"{tmp_path}/ca.pem"


@pytest.mark.parametrize(
    ("failed", "state", "found"),
    [("", "ok", "x is reachable"), ("certificate", "fail", "its certificate is not trusted"),
     ("proxy", "fail", "the proxy refuses the connection"), ("offline", "fail", "x is not reachable")],
)  # fmt: skip
def test_what_doctor_says(failed: str, state: str, found: str) -> None:
    hint = "mend this" if failed == "certificate" else ""
    finding = network.bedrock_endpoint(network.Handshake("http://x:8443", failed, "why", hint))
    assert (finding.check, finding.state, finding.found) == ("Bedrock", state, found)
    mends = {"": "", "certificate": "mend this"}
    assert finding.mend == mends.get(failed, "curl -sv -o /dev/null http://x:8443/")
