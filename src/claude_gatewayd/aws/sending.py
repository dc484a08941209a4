"""Sends botocore's requests with the certificates and the proxy that hold for all upstreams. All of it blocks.

By itself botocore trusts certifi or AWS_CA_BUNDLE only, and reads proxy settings by rules of its own. Its event
"before-send" lets a handler send the request instead.
"""

import socket
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

from botocore import awsrequest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import HTTPClientError, ProxyConnectionError, SSLError
from botocore.httpsession import ProxyConfiguration, URLLib3Session

from claude_gatewayd.aws.unreachable import CannotReach
from claude_gatewayd.network import reach, socks
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.network.proxy import Proxy

_HANDSHAKE_TIMEOUT: Final = 5.0


class Sender:
    """A handler of "before-send". Raises CannotReach, which botocore passes on without a retry."""

    def __init__(self, egress: Egress, connect: float, read: float) -> None:
        """Prepare to send. Raises ConfigInvalid if a certificate file cannot be used."""
        self._egress = egress
        self._timeout = connect, read
        self._context = egress.context()
        self._sessions: dict[Proxy | None, URLLib3Session] = {}

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        """Send a request."""
        parts = urlsplit(request.url)
        tls = parts.scheme == "https"
        proxy = self._egress.proxy_to(parts.hostname or "", parts.port or (443 if tls else 80), tls=tls)
        try:
            return self._session(proxy).send(request)
        except (SSLError, NotConnected, HTTPClientError) as error:
            if not isinstance(error, (SSLError, ProxyConnectionError)) and (proxy is None or not proxy.socks):
                raise
            # botocore's errors say little: a handshake of our own finds out, as for every upstream
            failed = reach.handshake_blocking(request.url, self._egress, _HANDSHAKE_TIMEOUT)
            if failed is not None:
                raise CannotReach(failed) from None
            raise NotConnected(error=error) from None  # the handshake succeeded: botocore retries

    def _session(self, proxy: Proxy | None) -> URLLib3Session:
        if proxy not in self._sessions:
            self._sessions[proxy] = _Session(self._context, self._timeout, proxy)
        return self._sessions[proxy]


class _Session(URLLib3Session):  # type: ignore[misc]  # botocore has no types
    """botocore's session with our trust and proxies. What it overrides is private in botocore 1.44."""

    def __init__(self, context: ssl.SSLContext, timeout: tuple[float, float], proxy: Proxy | None) -> None:
        self._context = context
        super().__init__(timeout=timeout)
        if proxy is not None and proxy.socks:
            self._manager.pool_classes_by_scheme = _socks_pools(proxy, timeout[0])
        elif proxy is not None:
            self._proxy_config = _OneProxy(proxy)

    def _get_ssl_context(self) -> ssl.SSLContext:
        return self._context

    def _setup_ssl_cert(self, conn: Any, url: str, verify: object) -> None:  # noqa: ARG002 - as botocore calls it
        conn.cert_reqs, conn.ca_certs = "CERT_REQUIRED", None  # else certifi's certificates would be added

    def _setup_proxy_ssl_context(self, proxy_url: str) -> ssl.SSLContext:  # noqa: ARG002 - as botocore calls it
        return self._context


class _OneProxy(ProxyConfiguration):  # type: ignore[misc]
    """One proxy for all URLs."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__({"http": proxy.url, "https": proxy.url})
        self._proxy = proxy

    def proxy_headers_for(self, proxy_url: str) -> dict[str, str]:  # noqa: ARG002 - as botocore calls it
        return {"Proxy-Authorization": self._proxy.authorization} if self._proxy.user else {}


def _socks_pools(proxy: Proxy, seconds: float) -> dict[str, type]:
    """Return botocore's connection pools, with connections over a SOCKS proxy."""

    def over(kind: type) -> type:
        def connect(self: Any) -> socket.socket:
            return socks.connect_blocking(proxy, self.host, self.port, seconds)

        return type(kind.__name__, (kind,), {"_new_conn": connect})

    pools = {"http": awsrequest.AWSHTTPConnectionPool, "https": awsrequest.AWSHTTPSConnectionPool}
    return {
        scheme: type(pool.__name__, (pool,), {"ConnectionCls": over(pool.ConnectionCls)})
        for scheme, pool in pools.items()
    }
