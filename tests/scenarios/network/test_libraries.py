"""The proxy variables that LiteLLM's libraries find: they can read them, and come to what we come to."""

import urllib.request
from collections.abc import Mapping

import httpx
import pytest
from httpx._utils import get_environment_proxies

from claude_gatewayd.network.egress import Egress, for_libraries

HOST = "bedrock-runtime.us-west-2.amazonaws.com"
NAMES = [name for upper in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY") for name in (upper, upper.lower())]


@pytest.mark.parametrize(
    ("environ", "configured", "proxy"),
    [
        ({}, "", None),
        ({"HTTPS_PROXY": "http://a:1"}, "", "http://a:1"),
        ({"https_proxy": "a:1"}, "", "http://a:1"),
        ({"ALL_PROXY": "http://a:1"}, "", "http://a:1"),
        # the usual lines of proxy tools: a SOCKS proxy that nobody needs
        ({"https_proxy": "http://a:1", "http_proxy": "http://a:1", "all_proxy": "socks5://a:2"}, "", "http://a:1"),
        ({"HTTPS_PROXY": "http://u:p%40ss@a:1"}, "", "http://u:p%40ss@a:1"),
        ({"HTTPS_PROXY": "http://a:1"}, "http://b:2", "http://b:2"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}, "http://b:2", "http://b:2"),
        ({"HTTPS_PROXY": "http://a:1"}, "none", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}, "", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*.amazonaws.com"}, "", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "amazonaws.com:443"}, "", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "amazonaws.com:8443"}, "", "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "localhost, [::1] ,10.0.0.0/8,fe80::/10"}, "", "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "ä,/,::,a b[,{}"}, "", "http://a:1"),
        # what looks like an address and is none: by each of them httpx could not be imported
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": ":::,fe80::1:,10.0.0.1::,:.,8443:a,ffe80::1"}, "", "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "10.0.0.0/33,1.2/8,300.0.0.1/8,fe80::1%lo"}, "", "http://a:1"),
        ({"HTTP_PROXY": "http://proxy:notaport"}, "", None),
        ({"HTTP_PROXY": "ftp://x"}, "", None),
    ],
)
def test_a_host_of_aws(
    monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str], configured: str, proxy: str | None
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    egress = Egress(environ, (), configured)
    for name, value in for_libraries(egress, f"https://{HOST}").items():
        if value is not None:
            monkeypatch.setenv(name, value)
    by_us = egress.proxy_to(HOST, 443, tls=True)
    assert (by_us.full_url if by_us else None) == proxy
    assert _by_urllib() == proxy  # LiteLLM's aiohttp transport
    assert _by_httpx() == proxy
    for loopback in ("127.0.0.1", "localhost"):
        assert urllib.request.proxy_bypass(loopback)


def _by_urllib() -> str | None:
    proxies = urllib.request.getproxies()
    return None if urllib.request.proxy_bypass(HOST) else proxies.get("https") or proxies.get("all")


def _by_httpx() -> str | None:
    with httpx.Client() as client:  # what cannot be read is refused here
        url = httpx.URL(f"https://{HOST}/")
        through = client._transport_for_url(url) is not client._transport
    if not through:
        return None
    return get_environment_proxies()["https://"]
