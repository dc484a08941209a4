"""Validate values that name where something is: addresses, hosts, networks, URLs. Readers, as in `values`."""

import ipaddress
import re
from urllib.parse import SplitResult, unquote, urlsplit

from claude_gatewayd.config.values import shown, wrong
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system.addresses import addresses, is_loopback


def address(raw: object) -> str:
    """Read an address to listen on."""
    if not isinstance(raw, str) or not addresses(raw):
        raise wrong('an IP address or "localhost"', raw)
    return raw.lower()


def host_names(raw: object) -> tuple[str, ...]:
    """Read a list of host names."""
    what = "a list of host names without scheme, port and path"
    if not isinstance(raw, list):
        raise wrong(what, raw)
    for name in raw:
        if not isinstance(name, str) or not _is_host(name.lower()):
            raise wrong(what, name)
    return tuple(name.lower() for name in raw)


def proxies(raw: object) -> tuple[str, ...]:
    """Read a list of the networks whose proxies are believed, as `ipaddress` has them."""
    what, hint = "a list of addresses and networks", 'trusted_proxies = ["10.0.0.0/8"]'
    if not isinstance(raw, list):
        raise wrong(what, raw, hint)
    networks = []
    for given in raw:
        try:
            network = ipaddress.ip_network(given) if isinstance(given, str) else None
        except ValueError as error:
            host_bits = f"a network, {ipaddress.ip_network(given, strict=False)}" if "host bits" in str(error) else what
            raise wrong(host_bits, given, hint) from None
        if network is None:
            raise wrong(what, given, hint)
        if network.prefixlen == 0:
            why = "must be the proxies' own networks: with all addresses, anybody's X-Forwarded-For would be believed"
            raise GatewayError(why, hint)
        networks.append(str(network))
    return tuple(networks)


def endpoint(raw: object) -> str:
    """Read the URL of a service, or "" for the default."""
    if raw == "":
        return ""
    url, parts = _url(raw)
    if "@" in parts.netloc:
        raise wrong("a URL without user name and password", raw)
    return url


def base_url(raw: object) -> str:
    """Read the URL of an upstream that gets the caller's credential."""
    url, parts = _url(raw)
    if "@" in parts.netloc:
        raise wrong("a URL without user name and password (callers bring their credential)", raw)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        why = "must begin with https://, for plain http would show the credential to the network"
        raise GatewayError(f"{why}, not {shown(raw)}", "plain http is for loopback addresses only")
    return url


def proxy(raw: object) -> str:
    """Read the URL of a proxy, "" to use the environment's, or "none"."""
    if raw == "" or raw == "none":
        return str(raw)
    url, parts = _url(raw, ("http", "https", "socks5", "socks5h", "socks4", "socks4a"))
    if parts.path not in ("", "/"):
        raise wrong("a URL without a path", raw)
    return url


def database_url(raw: object) -> str:
    """Read the URL of a PostgreSQL, or "" for SQLite."""
    if raw == "":
        return ""
    what = "the URL of a PostgreSQL"
    hint = 'like "postgresql://USER:PASSWORD@HOST:5432/DATABASE", with %40 for @, %2F for /, %3F for ?, %23 for #'
    if not isinstance(raw, str) or re.search(r"[^!-~]|[#\\]", raw):
        raise wrong(what, raw, hint)
    try:
        parts = urlsplit(raw)
        port = parts.port
    except ValueError:  # brackets around what is no IPv6 address, or a port that is no number
        raise wrong(what, raw, hint) from None
    if parts.scheme in ("sqlite", "file"):
        raise wrong(what, raw, 'without it, or with "", the ledger is a file of SQLite')
    names = {unquote(one.partition("=")[0]).lower() for one in parts.query.split("&")}
    if names & {"password", "sslpassword"}:
        raise GatewayError("must have the password before the host, not behind the ?", hint)
    host_is_valid = _is_host(parts.hostname) if parts.hostname else port is None
    known = parts.scheme in ("postgresql", "postgres", "postgresql+psycopg")
    if not known or parts.netloc.count("@") > 1 or not host_is_valid or not re.fullmatch(r"/[^/]+", parts.path):
        raise wrong(what, raw, hint)
    return raw


def shared_url(raw: object) -> str:
    """Read the URL of the PostgreSQL that gateways share, or "" for none."""
    if isinstance(raw, str) and raw.startswith(("sqlite:", "file:", "/", "~", ".")):
        hint = 'like "postgresql://USER:PASSWORD@HOST:5432/DATABASE"; a gateway alone needs no [shared]'
        raise wrong("the URL of a PostgreSQL, for gateways cannot share a file", raw, hint)
    return database_url(raw)


def _url(raw: object, schemes: tuple[str, ...] = ("http", "https")) -> tuple[str, SplitResult]:
    """Return a URL of one of these schemes without a trailing slash, and its parts."""
    listed = f"{', '.join(f'{scheme}://' for scheme in schemes[:-1])} or {schemes[-1]}://"
    what = f"an {listed} URL with a host, without query and fragment"
    # urlsplit() drops or accepts what is not allowed in a URL: spaces, line ends, backslashes
    if not isinstance(raw, str) or re.search(r"[^!-~]|[?#\\]", raw):
        raise wrong(what, raw)
    try:
        parts = urlsplit(raw)
        valid = parts.scheme in schemes and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:  # brackets around what is no IPv6 address, or a port that is no number
        valid = False
    if not valid:
        raise wrong(what, raw)
    return f"{parts.scheme}://{parts.netloc.removesuffix(':')}{parts.path.rstrip('/')}", parts


def _is_host(name: str) -> bool:
    label = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
    return re.fullmatch(rf"{label}(\.{label})*", name) is not None or bool(addresses(name))
