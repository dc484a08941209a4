"""Find out whether a remote gateway answers and takes a key, by the route and the certificates of Claude Code.

The key is sent only where the certificate is good and a gateway has answered without it.
"""

import asyncio
from collections.abc import Mapping
from shlex import quote
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from claude_gatewayd.ctl.claude_code.settings import EXTRA_CA, KEY_HEADER
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network import reach, trust
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.network.egress import Egress

WITHIN: Final = 15.0
_READY, _WITH_KEY = b"/readyz", b"/metrics"  # a gateway for others shows its metrics to who has the key only
_SSL_CERT_FILE: Final = "SSL_CERT_FILE"
_IGNORED: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # by Claude Code
_NAME_CA: Final = f"export {EXTRA_CA}=~/company-ca.pem"

Outcome = Literal["accepted", "unproven", "wrong key", "wrong name", "no gateway", "unreachable"]


class Reply(NamedTuple):
    """An answer: its status, and whether a gateway made it."""

    status: int
    by_gateway: bool

    @property
    def is_a_gateways(self) -> bool:
        """Say whether it is what a gateway answers to /readyz, also while it ends."""
        return self.by_gateway and self.status in (200, 503)


class RemoteAnswer(NamedTuple):
    """What a remote gateway came to: *why* and a hint where something is wrong; *proxy* is what stands between.

    *ca_file* is the file of certificates without which it is not trusted, "" where none is needed.
    """

    outcome: Outcome
    why: str = ""
    hint: str = ""
    proxy: str = ""
    ca_file: str = ""

    @property
    def is_usable(self) -> bool:
        """Say whether Claude Code may be led there."""
        return self.outcome in ("accepted", "unproven")


def ask(url: str, key: str, environ: Mapping[str, str], within: float = WITHIN) -> RemoteAnswer:
    """Ask the gateway at *url*, within so many seconds in all. *environ* is what Claude Code has there."""
    egress = _egress(environ)
    proxy = ""
    try:
        origin = Origin.of(url)
        through = egress.proxy_to(origin.host, origin.port, tls=origin.tls)
        proxy = f"{through.host}:{through.port}" if through is not None else ""
        ready, with_key, ca_file = asyncio.run(_ask(url, key, environ, within))
    except ConfigInvalid as invalid:
        why = "; ".join(f"{problem.where}: {problem.message}" for problem in invalid.problems)
        return RemoteAnswer("unreachable", why, invalid.problems[0].hint, proxy)
    except UpstreamFailed as failed:
        return _unreachable(url, failed, proxy)
    except TimeoutError:
        return RemoteAnswer("unreachable", f"it does not answer within {within:g} s", _look(url), proxy)
    return judge(url, ready, with_key)._replace(proxy=proxy, ca_file=ca_file)


def judge(url: str, ready: Reply, with_key: Reply | None) -> RemoteAnswer:
    """Judge the answers to /readyz, and with the key to /metrics, which is asked only if a gateway gave the first."""
    if not ready.is_a_gateways or with_key is None:
        if 300 <= ready.status < 400:
            why = f"it redirects ({ready.status}), as a login page does; a gateway never redirects"
        elif ready.status in (502, 503, 504):
            why = f"a load balancer answers {ready.status}: it has no gateway that is ready"
        else:
            why = f"what answers is not a gateway: {ready.status} for /readyz"
        return RemoteAnswer("no gateway", why, _look(url))
    if with_key.by_gateway and with_key.status == 401:
        why = "the gateway does not accept this key; on its machine `claude-gatewayctl key` shows the right one"
        return RemoteAnswer("wrong key", why, "claude-gatewayctl key")
    if with_key.by_gateway and with_key.status == 421:
        host = urlsplit(url).hostname or ""
        why = f"the gateway does not serve the name {host}; on its machine [listen] hosts has to list it"
        return RemoteAnswer("wrong name", why, f"claude-gatewayctl config set listen.hosts {quote(host)} --reload")
    if with_key.status == 200 or (with_key.by_gateway and with_key.status == 503):
        return RemoteAnswer("accepted")
    return RemoteAnswer("unproven", f"something before the gateway answers {with_key.status} for /metrics", _look(url))


async def _ask(url: str, key: str, environ: Mapping[str, str], within: float) -> tuple[Reply, Reply | None, str]:
    async with asyncio.timeout(within):
        egress = _egress(environ)
        ready = await _head(url, egress, _READY, within)
        with_key = None
        if ready.is_a_gateways:
            with_key = await _head(url, egress, _WITH_KEY, within, f"{KEY_HEADER}: {key}".encode())
        return ready, with_key, await _needed_ca(url, environ, within)


async def _head(url: str, egress: Egress, path: bytes, within: float, *lines: bytes) -> Reply:
    origin = Origin.of(url)
    connection = await reach.connector(url, egress, within)()
    try:
        asked = [b"Host: " + origin.authority, b"Connection: close", *lines]
        request = head.write_request(b"HEAD", origin.prefix + path, asked)
        connection.send(request, b"", without_body=True, complete=True)
        answer = await connection.answer(within)
    finally:
        connection.abort()
    return Reply(answer.status, b"x-gateway-upstream" in answer.fields)


async def _needed_ca(url: str, environ: Mapping[str, str], within: float) -> str:
    """Return the file that the environment names and without which the certificate is not trusted, else ""."""
    named = environ.get(EXTRA_CA) or environ.get(_SSL_CERT_FILE)
    if not named or not url.startswith("https:"):
        return ""
    without = {name: value for name, value in environ.items() if name not in (EXTRA_CA, *trust.STORES)}
    failed = await reach.handshake(url, _egress(without), within)
    return named if failed is not None and failed.kind == "certificate" else ""


def _egress(environ: Mapping[str, str]) -> Egress:
    return Egress({name: value for name, value in environ.items() if name not in _IGNORED})


def _unreachable(url: str, failed: UpstreamFailed, proxy: str) -> RemoteAnswer:
    host = urlsplit(url).hostname or ""
    why, hint = failed.detail, failed.hint
    if failed.kind == "offline":
        why, hint = f"the name {host} cannot be resolved: it is misspelt, or this machine is not in its network", ""
        hint = f"ping -c 1 {quote(host)}"
    elif failed.kind == "certificate" and why.endswith(usual := trust.advice(0)[0]):
        why = f"{why.removesuffix(usual)}if a company's CA has signed it, {EXTRA_CA} has to name that CA's file"
        hint = _NAME_CA
    elif failed.kind == "proxy":
        why = f"{why}; if the gateway is in your own network, NO_PROXY has to list it"
        hint = f'export NO_PROXY="$NO_PROXY,{host}"'
    return RemoteAnswer("unreachable", why, hint or _look(url), proxy)


def _look(url: str) -> str:
    return f"curl -si {quote(url + _READY.decode())}"
