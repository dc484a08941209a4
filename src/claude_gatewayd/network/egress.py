"""How the network is reached: which certificates are trusted, and through which proxy. Decided for every upstream."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from claude_gatewayd.config.model import Config
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.network import proxy, trust
from claude_gatewayd.network.proxy import Proxy, proxy_for, variable_of
from claude_gatewayd.network.trust import CaFile, CaFileInvalid
from claude_gatewayd.problem import Problem


@dataclass(frozen=True, slots=True)
class Egress:
    """What decides it: the environment, *ca_files* that are named elsewhere, and a *proxy* that is configured.

    *place* is where that proxy is configured.
    """

    environ: Mapping[str, str] = field(repr=False)
    ca_files: tuple[CaFile, ...] = ()
    proxy: str = field(default="", repr=False)  # may hold a password
    place: str = "[network] proxy"

    def trusting(self, *files: CaFile) -> "Egress":
        """Return the same with more files of trusted certificates."""
        return replace(self, ca_files=(*self.ca_files, *files)) if files else self

    def context(self) -> ssl.SSLContext:
        """Return what certificates are checked with. Raises ConfigInvalid."""
        try:
            return trust.context_for(trust.decide(self.environ, *self.ca_files))
        except CaFileInvalid as error:
            why, look = f"is no file of certificates: {error.why}", f"openssl x509 -noout -text -in {error.file.path}"
            raise ConfigInvalid([Problem(error.file.place, why, look)]) from None

    def socks_proxy(self) -> Proxy | None:
        """Return the SOCKS proxy for hosts that nothing excepts, None where there is none."""
        found = proxy.default_proxy(self.proxy, self.environ, tls=True)
        return found if found is not None and found.socks else None

    def proxy_to(self, host: str, port: int, *, tls: bool) -> Proxy | None:
        """Return the proxy for a host, None for a direct connection. Raises ConfigInvalid where it is none."""
        try:
            return proxy_for(host, port, tls=tls, configured=self.proxy, environ=self.environ)
        except ValueError as error:
            where = self.place if self.proxy else f"environment {variable_of(self.environ, tls=tls)}"
            hint = "a direct connection: CLAUDE_GATEWAY_NETWORK_PROXY=none"
            raise ConfigInvalid([Problem(where, f"{error}", hint)]) from None


def for_libraries(egress: Egress, url: str) -> dict[str, str | None]:
    """Return the proxy variables for libraries that read the environment, so that they reach *url* as we do.

    None: it is not to be set.
    """
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if tls else 80)
    return proxy.variables_for_libraries(host, port, tls=tls, configured=egress.proxy, environ=egress.environ)


def of(settings: Config, environ: Mapping[str, str]) -> Egress:
    """Return how everything but Anthropic is reached."""
    named = (("[network] ca_file", settings.network.ca_file), ("[anthropic] ca_file", settings.anthropic.ca_file))
    files = tuple(CaFile(place, path) for place, path in named if path)
    return Egress(dict(environ), files, settings.network.proxy)  # a copy: LiteLLM's thread changes the process's own


def to_anthropic(settings: Config, environ: Mapping[str, str]) -> Egress:
    """Return how Anthropic is reached, which may have a proxy of its own."""
    egress = of(settings, environ)
    own = settings.anthropic.proxy
    return replace(egress, proxy=own, place="[anthropic] proxy") if own else egress
