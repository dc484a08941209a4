"""Which gateway is meant: what a person may write, and what settings.json says."""

from pathlib import Path

import pytest

from claude_gatewayd.ctl.claude_code.remote.gateway import RemoteGateway, key_from, pointed_at, url_from
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget
from claude_gatewayd.errors import GatewayError

HERE = GatewayTarget("http://127.0.0.1:47000", "cgw-here")
THERE = "https://gateway.example"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (THERE, THERE),
        (f" {THERE}/ ", THERE),
        ("HTTPS://Gateway.Example:8443/Team/", "https://gateway.example:8443/Team"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://localhost:9000/", "http://localhost:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_urls(given: str, url: str) -> None:
    assert url_from(given) == url


@pytest.mark.parametrize(
    "given",
    ["", "gateway.example", "ftp://gateway.example", "https://", "http://gateway.example", "http://10.0.0.1:47000",
     "https://u@gateway.example", "https://:p@gateway.example", f"{THERE}?a", f"{THERE}#a", f"{THERE}/v1",
     f"{THERE}:x", f"{THERE}:99999", "https://[::1", f"{THERE}/a b", f"{THERE}/$(id)", f"{THERE}/%zz",
     "https://-x", "https://a b"],
)  # fmt: skip
def test_no_urls(given: str) -> None:
    with pytest.raises(GatewayError, match="as the gateway's address"):
        url_from(given)


@pytest.mark.parametrize("data", [b"", b"\n", b"two words", b"two\nlines", "schlüssel".encode(), b"k" * 600])
def test_no_keys(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_bytes(data)
    with pytest.raises(GatewayError, match="cannot use the key in"):
        key_from(file)


def test_a_key_that_others_can_read_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "a key"
    file.touch(0o600)
    file.write_text("cgw-there\n")
    assert key_from(file) == "cgw-there"
    file.chmod(0o604)
    with pytest.raises(GatewayError) as refused:
        key_from(file)
    assert refused.value.hint == f"chmod 600 '{file}'"


@pytest.mark.parametrize(
    ("url", "headers", "remote"),
    [
        (THERE, "x-gateway-key: k", RemoteGateway(THERE, "k")),
        (f"{THERE}/", "X-A: b\nX-Gateway-Key:k", RemoteGateway(THERE, "k")),
        ("http://127.0.0.1:9000", "x-gateway-key: k", RemoteGateway("http://127.0.0.1:9000", "k")),  # a tunnel
        ("http://127.0.0.1:9000", "x-gateway-key: cgw-here", None),  # an old port of this one
        (
            THERE,
            "x-gateway-key: cgw-here",
            RemoteGateway(THERE, "cgw-here"),
        ),  # on the gateway's machine, by its balancer
        (HERE.url, "x-gateway-key: k", None),  # an old key of this one
        (THERE, "", None),  # not one of ours
        (THERE, None, None),
        ("", "x-gateway-key: k", None),
    ],
)
def test_where_settings_point(url: str, headers: str | None, remote: RemoteGateway | None) -> None:
    values = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_CUSTOM_HEADERS": headers}
    assert pointed_at({name: value for name, value in values.items() if value is not None}, HERE) == remote


def test_no_key_is_shown() -> None:
    assert "k" not in repr(RemoteGateway("https://h", "k")).replace("gateway", "")
