"""Find out whether a remote gateway answers and takes a key, by the route and the certificates of Claude Code.

The key is sent only where the certificate is good and a gateway has answered without it.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from shlex import quote
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from claude_gatewayd.ctl.claude_code.settings import EXTRA_CA, KEY_HEADER
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network import reach, trust
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.printable import one_line

WITHIN: Final = 15.0
_LONGEST_SENTENCE: Final = 400
SOON: Final = 7 * 86400.0  # seconds before a key expires, from which on its owner is told
# Whose a key is, only who has it may know; of older gateways, which have no such page, the same is true of the metrics.
_READY, _WITH_KEY, _WITH_KEY_BEFORE = b"/readyz", b"/whoami", b"/metrics"
_MOST = 16 * 1024  # bytes of an answer
_SSL_CERT_FILE: Final = "SSL_CERT_FILE"
_IGNORED: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # by Claude Code
_NAME_CA: Final = f"export {EXTRA_CA}=~/company-ca.pem"

Outcome = Literal["accepted", "unproven", "wrong key", "wrong name", "no gateway", "unreachable"]


class Reply(NamedTuple):
    """An answer: its status, whether a gateway made it, and the beginning of its body."""

    status: int
    by_gateway: bool
    body: bytes = b""

    @property
    def is_a_gateways(self) -> bool:
        """Say whether it is what a gateway answers to /readyz, also while it ends."""
        return self.by_gateway and self.status in (200, 503)


class KeyFacts(NamedTuple):
    """What a gateway says of a named key. The budget is in USD a month, 0 for none; *left* of it is None then."""

    name: str
    expires_at: float | None
    bedrock: bool
    monthly_budget: float
    left: float | None


class RemoteAnswer(NamedTuple):
    """What a remote gateway came to: *why* and a hint where something is wrong; *proxy* is what stands between.

    *ca_file* is the file of certificates without which it is not trusted, "" where none is needed. *key* is None for
    one that has no name.
    """

    outcome: Outcome
    why: str = ""
    hint: str = ""
    proxy: str = ""
    ca_file: str = ""
    key: KeyFacts | None = None

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
    """Judge the answers to /readyz, and with the key to /whoami, which is asked only if a gateway gave the first."""
    if not ready.is_a_gateways or with_key is None:
        if 300 <= ready.status < 400:
            why = f"it redirects ({ready.status}), as a login page does; a gateway never redirects"
        elif ready.status in (502, 503, 504):
            why = f"a load balancer answers {ready.status}: it has no gateway that is ready"
        else:
            why = f"what answers is not a gateway: {ready.status} for /readyz"
        return RemoteAnswer("no gateway", why, _look(url))
    if with_key.by_gateway and with_key.status in (401, 403) and (said := _said(with_key.body)):
        hint = f"claude-gatewayctl configure-claude --url {quote(url)} --key-file FILE"
        return RemoteAnswer("wrong key", f"the gateway does not accept this key: {said}", hint)
    if with_key.by_gateway and with_key.status == 401:
        why = "the gateway does not accept this key; on its machine `claude-gatewayctl key` shows the right one"
        return RemoteAnswer("wrong key", why, "claude-gatewayctl key")
    if with_key.by_gateway and with_key.status == 421:
        host = urlsplit(url).hostname or ""
        why = f"the gateway does not serve the name {host}; on its machine [listen] hosts has to list it"
        return RemoteAnswer("wrong name", why, f"claude-gatewayctl config set listen.hosts {quote(host)} --reload")
    if with_key.status == 200 or (with_key.by_gateway and with_key.status == 503):
        return RemoteAnswer("accepted", key=key_facts(with_key.body))
    return RemoteAnswer("unproven", f"something before the gateway answers {with_key.status} for /whoami", _look(url))


def key_facts(body: bytes) -> KeyFacts | None:
    """Return what /whoami has said of a named key; None for a key without a name, and for what is no such answer."""
    try:
        found = json.loads(body)
        name, expires_at, left = (found[field] for field in ("name", "expires_at", "left"))
        if not name:
            return None
        return KeyFacts(
            one_line(str(name))[:100],
            None if expires_at is None else float(expires_at),
            bool(found["bedrock"]),
            float(found["monthly_budget"]),
            None if left is None else float(left),
        )
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def _said(body: bytes) -> str:
    """Return why a gateway refuses a named key, in its own words; "" where it says nothing of that."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return ""
    return one_line(str(message)).removeprefix("cannot serve: ")[:_LONGEST_SENTENCE] if "keys " in message else ""


async def _ask(url: str, key: str, environ: Mapping[str, str], within: float) -> tuple[Reply, Reply | None, str]:
    async with asyncio.timeout(within):
        egress = _egress(environ)
        ready = await _head(url, egress, _READY, within)
        with_key = None
        if ready.is_a_gateways:
            sent = f"{KEY_HEADER}: {key}".encode()
            with_key = await _get(url, egress, _WITH_KEY, within, sent)
            if with_key.status not in (200, 403):
                before = await _head(url, egress, _WITH_KEY_BEFORE, within, sent)
                with_key = before if before.status == 200 or not with_key.by_gateway else with_key
        return ready, with_key, await _needed_ca(url, environ, within)


async def _head(url: str, egress: Egress, path: bytes, within: float, *lines: bytes) -> Reply:
    return await _request(b"HEAD", url, egress, path, within, *lines)


async def _get(url: str, egress: Egress, path: bytes, within: float, *lines: bytes) -> Reply:
    return await _request(b"GET", url, egress, path, within, *lines)


async def _request(method: bytes, url: str, egress: Egress, path: bytes, within: float, *lines: bytes) -> Reply:
    origin = Origin.of(url)
    connection = await reach.connector(url, egress, within)()
    try:
        asked = [b"Host: " + origin.authority, b"Connection: close", *lines]
        request = head.write_request(method, origin.prefix + path, asked)
        connection.send(request, b"", without_body=method == b"HEAD", complete=True)
        answer = await connection.answer(within)
        body = bytearray()

        def sees(data: Bytes) -> bool:
            body.extend(data)
            return len(body) > _MOST

        if method != b"HEAD":
            await connection.look(sees, within)
    finally:
        connection.abort()
    return Reply(answer.status, b"x-gateway-upstream" in answer.fields, bytes(body))


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


def described(key: KeyFacts) -> str:
    """Return what a person is told of their key: until when it is good, and what it may do at Bedrock."""
    when = "never expires"
    if key.expires_at is not None:
        when = f"is good until {time.strftime('%a %d %b %Y %H:%M', time.localtime(key.expires_at))}"
    bedrock = "Bedrock may answer it" if key.bedrock else "Bedrock does not answer it"
    if key.bedrock and key.left is not None:
        bedrock += f", for ${key.left:,.2f} more of ${key.monthly_budget:,.2f} this month"
    return f"The key is that of {key.name}; it {when}; {bedrock}"


def trouble_ahead(key: KeyFacts, now: float) -> tuple[str, str]:
    """Return what its owner has to see to soon, and what the gateway's operator can do about it; "" for nothing."""
    if key.expires_at is not None and key.expires_at - now < SOON:
        days = max(0, round((key.expires_at - now) / 86400))
        return f"the key of {key.name} expires in {days} d", f"claude-gatewayctl keys rotate {key.name}"
    if key.bedrock and key.left == 0:
        spent = f"the budget of the key {key.name} is spent for this month, so there is no fallback to Bedrock"
        return spent, f"claude-gatewayctl keys set {key.name} --budget {2 * key.monthly_budget:g}"
    return "", ""
