"""Which proxy an upstream is reached through."""

import base64

import pytest

from claude_gatewayd.network.proxy import Proxy, is_excepted, parse, proxy_for

HOST = "api.anthropic.com"


def chosen(
    environ: dict[str, str], *, host: str = HOST, port: int = 443, tls: bool = True, configured: str = ""
) -> str | None:
    proxy = proxy_for(host, port, tls=tls, configured=configured, environ=environ)
    return None if proxy is None else proxy.host


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "http://a:1"}, "a"),
        ({"https_proxy": "http://a:1"}, "a"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "a"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, "b"),
        ({"HTTP_PROXY": "http://a:1"}, None),
        ({"ALL_PROXY": "http://a:1"}, "a"),
        ({"all_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "b"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": HOST}, None),
        ({"HTTPS_PROXY": "http://a:1", "no_proxy": HOST}, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}, None),
        ({"ALL_PROXY": "http://a:1", "NO_PROXY": "anthropic.com"}, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "example.com"}, "a"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": ""}, "a"),
    ],
)
def test_the_environment(environ: dict[str, str], proxy: str | None) -> None:
    assert chosen(environ) == proxy


def test_a_plain_upstream_has_variables_of_its_own() -> None:
    environ = {"HTTP_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1"}
    assert chosen(environ, tls=False, port=80) == "a"
    assert chosen(environ) == "b"


def test_the_configuration_wins() -> None:
    environ = {"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}
    assert chosen(environ, configured="http://c:1") == "c"
    assert chosen(environ, configured="none") is None
    assert chosen({"HTTPS_PROXY": "http://a:1"}, configured="none") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_never_goes_through_a_proxy(host: str) -> None:
    assert chosen({"ALL_PROXY": "http://a:1"}, host=host) is None
    assert chosen({}, host=host, configured="http://c:1") is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy:3128", Proxy("proxy", 3128, tls=False)),
        ("http://proxy:3128/", Proxy("proxy", 3128, tls=False)),
        ("http://proxy", Proxy("proxy", 80, tls=False)),
        ("https://proxy", Proxy("proxy", 443, tls=True)),
        ("proxy:3128", Proxy("proxy", 3128, tls=False)),
        ("proxy", Proxy("proxy", 80, tls=False)),
        ("http://[2001:db8::1]:3128", Proxy("2001:db8::1", 3128, tls=False)),
        ("HTTP://Proxy.Example:3128", Proxy("proxy.example", 3128, tls=False)),
        ("socks5://127.0.0.1:7891", Proxy("127.0.0.1", 7891, tls=False, socks=5)),
        ("socks5h://me:secret@proxy", Proxy("proxy", 1080, tls=False, user="me:secret", socks=5)),
        ("socks://127.0.0.1:7891/", Proxy("127.0.0.1", 7891, tls=False, socks=5)),
        ("socks4a://proxy:1", Proxy("proxy", 1, tls=False, socks=4)),
        ("socks4://proxy:1", Proxy("proxy", 1, tls=False, socks=4, resolves=False)),
    ],
)
def test_parse(url: str, proxy: Proxy) -> None:
    assert parse(url) == proxy


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("http://me:secret@proxy:1", "me:secret"),
        ("http://me@proxy:1", "me:"),
        ("http://do%40main%5Cme:p%3Ass%2F@proxy:1", "do@main\\me:p:ss/"),
        ("me:secret@proxy:1", "me:secret"),
        ("http://:secret@proxy:1", ":secret"),
        ("http://%C3%BC:x@proxy:1", "ü:x"),
    ],
)
def test_basic_auth(url: str, user: str) -> None:
    proxy = parse(url)
    scheme, _, value = proxy.authorization.partition(" ")
    assert (proxy.host, proxy.port, scheme) == ("proxy", 1, "Basic")
    assert base64.b64decode(value).decode() == user


def test_a_password_is_not_shown() -> None:
    proxy = parse("http://me:secret@proxy:1")
    assert repr(proxy) == "Proxy(proxy:1)"
    assert "secret" not in f"{proxy}{[proxy]}"


@pytest.mark.parametrize(
    ("exceptions", "host", "port", "expected"),
    [
        ("*", HOST, 443, True),
        (HOST, HOST, 443, True),
        ("API.Anthropic.COM", HOST, 443, True),
        (HOST, HOST.upper(), 443, True),
        (HOST, HOST + ".", 443, True),
        ("anthropic.com", HOST, 443, True),
        (".anthropic.com", HOST, 443, True),
        ("*.anthropic.com", HOST, 443, True),
        (".anthropic.com", "anthropic.com", 443, True),
        ("thropic.com", HOST, 443, False),
        ("com", HOST, 443, True),
        ("api.anthropic.com.evil", HOST, 443, False),
        ("x.api.anthropic.com", HOST, 443, False),
        ("a.example, anthropic.com ,b.example", HOST, 443, True),
        ("a.example anthropic.com", HOST, 443, True),  # as curl: blanks separate too
        ("a.example,,b.example", HOST, 443, False),
        ("", HOST, 443, False),
        (" ", HOST, 443, False),
        (".", HOST, 443, False),
        ("*.", HOST, 443, False),
        ("anthropic.com:443", HOST, 443, True),
        ("anthropic.com:8443", HOST, 443, False),
        ("anthropic.com:8443,anthropic.com:443", HOST, 443, True),
        (".anthropic.com:443", HOST, 443, True),
        ("192.0.2.7", "192.0.2.7", 443, True),
        ("192.0.2.7:443", "192.0.2.7", 443, True),
        ("192.0.2.7:80", "192.0.2.7", 443, False),
        ("192.0.2.0/24", "192.0.2.7", 443, True),
        ("192.0.2.9/24", "192.0.2.7", 443, True),
        ("192.0.3.0/24", "192.0.2.7", 443, False),
        ("0.0.0.0/0", "192.0.2.7", 443, True),
        ("0.0.0.0/0", HOST, 443, False),
        ("192.0.2.0/24", "2001:db8::1", 443, False),
        ("2001:db8::1", "2001:db8::1", 443, True),
        ("2001:DB8:0::1", "2001:db8::1", 443, True),
        ("[2001:db8::1]", "2001:db8::1", 443, True),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("[2001:db8::1]:80", "2001:db8::1", 443, False),
        ("2001:db8::/32", "2001:db8::1", 443, True),
        ("2001:db9::/32", "2001:db8::1", 443, False),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1", 443, True),
        ("2001:db8:0:0:0:0:0:1:443", "2001:db8::1", 443, True),
        ("2001:db8:0:0:0:0:0:1:80", "2001:db8::1", 443, False),
        ("2001:db8::443", "2001:db8::443", 443, True),
        ("anthropic.com.", HOST, 443, True),  # the absolute form of a name
        (".anthropic.com.:443", HOST, 443, True),
    ],
)
def test_no_proxy(exceptions: str, host: str, port: int, expected: bool) -> None:
    assert is_excepted(host, port, exceptions) is expected
