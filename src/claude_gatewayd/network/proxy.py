"""Which proxy an upstream is reached through, by the variables that every tool reads."""

import base64
import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from claude_gatewayd.system.addresses import is_loopback

# Of each scheme: the version of SOCKS, the usual port, and whether the proxy resolves names. socks5:// would have us
# resolve them, as curl reads it; but who needs such a proxy often has no resolver for the world outside. socks:// is
# what GNOME writes.
_SCHEMES = {
    "http": (0, 80, True),
    "https": (0, 443, True),
    "socks5": (5, 1080, True),
    "socks5h": (5, 1080, True),
    "socks": (5, 1080, True),
    "socks4": (4, 1080, False),
    "socks4a": (4, 1080, True),
}


class Proxy(NamedTuple):
    """A proxy that is asked by CONNECT, or by SOCKS of version *socks*, where that is not 0.

    *user* is name and password with a colon between them, or empty; *resolves*: it is given names, not addresses.
    """

    host: str
    port: int
    tls: bool
    user: str = ""
    socks: int = 0
    resolves: bool = True

    @property
    def authorization(self) -> str:
        """Return the value of Proxy-Authorization, or an empty text."""
        return "Basic " + base64.b64encode(self.user.encode()).decode() if self.user else ""

    @property
    def url(self) -> str:
        """Return its URL, without the password."""
        return f"{self._scheme}://{self._address}"

    @property
    def full_url(self) -> str:
        """Return its URL with the password, if it has one."""
        name, _, password = self.user.partition(":")
        user = f"{quote(name, safe='')}:{quote(password, safe='')}@" if self.user else ""
        return f"{self._scheme}://{user}{self._address}"

    @property
    def _scheme(self) -> str:
        return f"socks{self.socks}" if self.socks else "https" if self.tls else "http"

    @property
    def _address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:  # no password in a log or a traceback
        return f"Proxy({self.host}:{self.port})"


def proxy_for(host: str, port: int, *, tls: bool, configured: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for a host, or None for a direct connection. Raises ValueError for what is none of a proxy.

    *configured* is `[anthropic] proxy`: a URL wins over the environment, "none" means never one. Loopback is never
    reached through a proxy. HTTPS_PROXY (HTTP_PROXY for a plain upstream), ALL_PROXY and NO_PROXY as curl reads
    them, in either case.
    """
    if configured == "none" or is_loopback(host):
        return None
    if configured:
        return parse(configured)
    variable = variable_of(environ, tls=tls)
    exceptions = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not variable or is_excepted(host, port, exceptions):
        return None
    return parse(environ[variable])


_HERE = ("127.0.0.1", "localhost", "::1")
_NAME = re.compile(r"\*|\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)


def variables_for_libraries(
    host: str, port: int, *, tls: bool, configured: str, environ: Mapping[str, str]
) -> dict[str, str | None]:
    """Return the variables by which libraries that read them reach a host as we do; None for one not to be set.

    Each library reads them in its own way, and one that it cannot read breaks it, at its import even: what they get is
    the part that all of them read alike. This machine is never reached through a proxy.
    """
    exceptions = "" if configured else environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    direct = [*_in_plain_words(exceptions), *_HERE]
    try:
        if proxy_for(host, port, tls=tls, configured=configured, environ=environ) is None and host:
            direct.append(host)
    except ValueError:
        pass  # reported by whoever connects to that host
    proxies = (default_proxy(configured, environ, tls=tls) for tls in (True, False))
    https, http = (proxy.full_url if proxy is not None and not proxy.socks else None for proxy in proxies)
    found = {"HTTPS_PROXY": https, "HTTP_PROXY": http, "ALL_PROXY": None, "NO_PROXY": ",".join(dict.fromkeys(direct))}
    return {name: value for upper, value in found.items() for name in (upper, upper.lower())}


def default_proxy(configured: str, environ: Mapping[str, str], *, tls: bool) -> Proxy | None:
    """Return the proxy for hosts that nothing excepts, None where there is none, or none that can be asked."""
    given = configured or environ.get(variable_of(environ, tls=tls), "")
    try:
        return parse(given) if given and given != "none" else None
    except ValueError:
        return None


def _in_plain_words(exceptions: str) -> list[str]:
    """Return what NO_PROXY excepts as every library reads it: names, addresses, networks; without a port."""
    found = []
    for entry in exceptions.lower().replace(",", " ").split():
        if entry.startswith("*."):
            entry = entry[1:]
        entry = entry.strip("[]")
        if _NAME.fullmatch(entry) or _is_plain_address(entry):
            found.append(entry)
    return found


def _is_plain_address(text: str) -> bool:
    """Say whether it is an address, or a network of IPv4: with one of IPv6 httpx cannot be imported."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in text and (found.version == 4 or "/" not in text)


def variable_of(environ: Mapping[str, str], *, tls: bool) -> str:
    """Return the name of the variable that names the proxy, or an empty text."""
    names = ("https_proxy", "HTTPS_PROXY") if tls else ("http_proxy", "HTTP_PROXY")
    return next((name for name in (*names, "all_proxy", "ALL_PROXY") if environ.get(name)), "")


def parse(url: str) -> Proxy:
    """Parse a proxy's URL; one without a scheme is http. Raises ValueError, which does not repeat a password."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise ValueError("is not the URL of a proxy: http://HOST:PORT") from None
    if "@" in parts.path + parts.query + parts.fragment or parts.netloc.count("@") > 1:
        # what is cut off at such a sign is a part of the password, and would be taken for the host
        raise ValueError("has a password with a sign in it that must be written as %XX: / ? # @ :")
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"names a {parts.scheme} proxy: only {', '.join(_SCHEMES)} are spoken")
    if not parts.hostname:
        raise ValueError("names no host: http://HOST:PORT")
    tls = parts.scheme == "https"
    socks, usual, resolves = _SCHEMES[parts.scheme]
    named = parts.username is not None
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if named else ""
    return Proxy(parts.hostname, port or usual, tls, user, socks, resolves)


def is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Say whether NO_PROXY names this host: by "*", a domain, an address or a network, each perhaps with a port."""
    host = host.lower().rstrip(".")
    for entry in exceptions.lower().replace(",", " ").split():
        if entry == "*":
            return True
        name, colon, wanted = entry.rpartition(":")
        if colon and wanted.isdigit() and (name.count(":") in (0, 7) or name.endswith("]")):
            if int(wanted) != port:
                continue
            entry = name
        domain = entry.removeprefix("*").strip(".").strip("[]")
        if domain and (host == domain or host.endswith(f".{domain}") or _in_network(host, domain)):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
