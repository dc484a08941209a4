"""What a worker starts with: read, checked and bound before anything runs, or refused with its place."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from claude_gatewayd import paths
from claude_gatewayd.aws.profiles.source import KeySource, ca_bundle, find_source, unusable_source
from claude_gatewayd.config.model import Config
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.network import egress, reach
from claude_gatewayd.network.connect import Connector
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.problem import Problem
from claude_gatewayd.system.addresses import is_loopback
from claude_gatewayd.system.secret_file import read_or_make_gateway_key
from claude_gatewayd.worker.gateway import known_credentials
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials

if TYPE_CHECKING:
    from claude_gatewayd.worker.cluster.identity import SharedAccess


class StartMode(NamedTuple):
    """How a generation starts.

    *number* is the generation's. *succeeds*: another one serves until this one does. *with_engine*: that one has
    LiteLLM loaded. *probe*: do all that comes before accepting, report, and end.
    """

    number: int
    succeeds: bool
    with_engine: bool
    probe: bool


class BedrockAccess(NamedTuple):
    """Whether Bedrock may be asked, with which keys, and by which route. *why* says why it may not be asked."""

    enabled: bool
    source: KeySource
    egress: Egress
    why: str = ""


class WorkerInputs(NamedTuple):
    """What a generation is made of.

    *environ* is a copy: LiteLLM changes that of the process. *anthropic* makes connections to Anthropic,
    *loopback* listens for the requests that LiteLLM sends back, and *shared* whether other gateways may share with it:
    None where they are not to.
    """

    config: Config
    environ: Mapping[str, str]
    gateway_key: str
    known_credentials: KnownCredentials
    anthropic: Callable[[], Awaitable[UpstreamConnection]]
    bedrock: BedrockAccess
    loopback: socket.socket
    shared: "SharedAccess | None" = None

    @property
    def is_shared(self) -> bool:
        """Whether this gateway shares with others."""
        return self.shared is not None and self.shared.keys is not None

    @property
    def may_need_engine(self) -> bool:
        """Whether any request could need LiteLLM."""
        return self.bedrock.enabled or bool(self.config.litellm.config)

    def loads_engine_at_start(self, *, had_engine: bool) -> bool:
        """Return whether LiteLLM is loaded before anybody needs it. *had_engine*: the older generation has it."""
        litellm = self.config.litellm
        if had_engine and (self.config.bedrock.through == "litellm" or litellm.config):
            return True
        return self.may_need_engine and (litellm.load == "eager" or (litellm.load == "auto" and bool(litellm.config)))


def collect(config: Config, environ: Mapping[str, str]) -> WorkerInputs:
    """Read the files that a generation needs, and bind its own port. Raises GatewayError, ConfigInvalid among them."""
    environ = dict(environ)
    shared, key = None, ""
    if config.shared.url:
        from claude_gatewayd.worker.cluster import identity  # here: most gateways are alone

        shared = identity.access(config.shared)
        key = shared.keys.credentials if shared.keys is not None else ""
    return WorkerInputs(
        config=config,
        environ=environ,
        anthropic=anthropic_connector(config, environ),
        gateway_key=read_or_make_gateway_key(paths.gateway_key_file(environ)),
        known_credentials=known_credentials.load(environ, key),
        bedrock=bedrock_access(config, environ),
        loopback=socket.create_server(("127.0.0.1", 0)),
        shared=shared,
    )


def anthropic_connector(config: Config, environ: Mapping[str, str]) -> Connector:
    """Return what makes connections to Anthropic. Raises ConfigInvalid."""
    route = egress.to_anthropic(config, environ)
    return reach.connector(config.anthropic.base_url, route, config.anthropic.connect_timeout)


def bedrock_access(config: Config, environ: Mapping[str, str]) -> BedrockAccess:
    """Return whether Bedrock may be asked. With `enabled = "auto"` it may if there are any AWS credentials."""
    bedrock = config.bedrock
    source = find_source(environ, bedrock.profile)
    if config.aws_problems and source.kind != "none":
        source = unusable_source(config.aws_problems[0], environ, bedrock.profile)
    route = egress.of(config, environ).trusting(*ca_bundle(environ, source.profile))
    if bedrock.enabled == "false":
        return BedrockAccess(False, source, route, "[bedrock] enabled is false")
    if bedrock.enabled == "auto" and not source.wanted:
        return BedrockAccess(False, source, route, source.why)
    return BedrockAccess(True, source, route)


def check_listener(config: Config, address: Any, bound: str) -> None:
    """Refuse a configuration that does not fit the listening socket. *bound* is "" for an inherited socket.

    Raises ConfigInvalid.
    """
    where = str(config.source or "environment")
    wanted = f"{config.listen.host}:{config.listen.port}"
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
    if isinstance(address, tuple) and not is_loopback(address[0]) and not config.listen.remote:
        raise ConfigInvalid(
            [
                Problem(
                    f"{where} [listen] remote",
                    f"the inherited socket listens on {address[0]}, which other machines can reach",
                    "set remote = true: callers must then send the gateway key (claude-gatewayctl key)",
                )
            ]
        )
