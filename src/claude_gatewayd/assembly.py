"""A configuration made into the parts of a generation. What cannot be made is refused with its place."""

import os
import ssl
from collections.abc import Mapping
from typing import Any

from claude_gatewayd import policy
from claude_gatewayd.config import Config
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.gateway import Settings
from claude_gatewayd.http1.connect import CA_VARIABLES, Connector, Origin, trust
from claude_gatewayd.http1.proxy import is_loopback, proxy_for, variable_of
from claude_gatewayd.model import Problem


def connector(settings: Config, environ: Mapping[str, str]) -> Connector:
    """Return what makes connections to Anthropic. Raises ConfigInvalid."""
    anthropic = settings.anthropic
    origin = Origin.of(anthropic.base_url)
    problems = []
    proxy = context = None
    try:
        proxy = proxy_for(origin.host, origin.port, tls=origin.tls, configured=anthropic.proxy, environ=environ)
    except ValueError as error:
        where = "[anthropic] proxy" if anthropic.proxy else f"environment {variable_of(environ, tls=origin.tls)}"
        problems.append(Problem(where, f"{error}", "a direct connection: CLAUDE_GATEWAY_ANTHROPIC_PROXY=none"))
    try:
        context = trust(anthropic.ca_file, environ) if origin.tls or (proxy is not None and proxy.tls) else None
    except (OSError, ssl.SSLError) as error:
        named = next((name for name in CA_VARIABLES if environ.get(name)), "NODE_EXTRA_CA_CERTS")
        where = "[anthropic] ca_file" if anthropic.ca_file else f"environment {named}"
        file = anthropic.ca_file or environ.get(named, "")
        problems.append(
            Problem(where, f"is no file of certificates: {_why(error)}", f"openssl x509 -noout -text -in {file}")
        )
    if problems:
        raise ConfigInvalid(problems)
    return Connector(origin, seconds=anthropic.connect_timeout, proxy=proxy, context=context)


def gateway_settings(settings: Config, key: str) -> Settings:
    """Return what the gateway goes by. *key* is asked of callers where other machines may call."""
    router = settings.router
    return Settings(
        origin=Origin.of(settings.anthropic.base_url),
        hosts=frozenset(settings.listen.hosts),
        key=key if settings.listen.remote else "",
        aliases=settings.aliases,
        rules=policy.Rules(router.num_retries, router.timeout, router.retry_after),
        max_body=settings.listen.max_body,
        first_byte_timeout=settings.anthropic.first_byte_timeout,
        response_timeout=settings.anthropic.response_timeout,
    )


def refuse_what_cannot_change(settings: Config, address: Any, bound: str) -> None:
    """Refuse a configuration that the socket at hand does not fit. *bound* is empty for an inherited socket.

    Raises ConfigInvalid.
    """
    where = str(settings.source or "environment")
    wanted = f"{settings.listen.host}:{settings.listen.port}"
    if bound and bound != wanted:
        raise ConfigInvalid(
            [
                Problem(
                    f"{where} [listen]",
                    f"the address cannot change from {bound} to {wanted} while the daemon runs",
                    "claude-gatewayctl stop, then start it again",
                )
            ]
        )
    if isinstance(address, tuple) and not is_loopback(address[0]) and not settings.listen.remote:
        raise ConfigInvalid(
            [
                Problem(
                    f"{where} [listen] remote",
                    f"the inherited socket listens on {address[0]}, which other machines can reach",
                    "set remote = true: callers must then send the gateway key (claude-gatewayctl key)",
                )
            ]
        )


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it cannot be parsed"
    return os.strerror(error.errno) if error.errno else str(error)
