"""The configuration, with its defaults.

A dataclass of these would take 0.5 ms of each start, in two processes one after the other: a NamedTuple takes 0.1.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from claude_gatewayd.config import values
from claude_gatewayd.problem import Problem

_NOTHING: Final = MappingProxyType[str, Any]({})


def _without(hidden: str, one: Any) -> str:
    """Return the representation of a NamedTuple without a field that may hold a password."""
    shown = (f"{name}={value!r}" for name, value in one._asdict().items() if name != hidden)
    return f"{type(one).__name__}({', '.join(shown)})"


class Listen(NamedTuple):
    """Where callers reach us. Times are in seconds, sizes in bytes.

    *leave_after*: how long a daemon that ends serves on, so that a load balancer notices first. *trusted_proxies* are
    believed when they say from where they were asked.
    """

    host: str = "127.0.0.1"
    port: int = 47000
    hosts: tuple[str, ...] = ()
    remote: bool = False
    trusted_proxies: tuple[str, ...] = ()
    drain_timeout: float = 900.0
    leave_after: float = 0.0
    workers: int = 1
    max_body: int = 64 * 1024 * 1024


class Anthropic(NamedTuple):
    """How Anthropic is reached, and with which kinds of credentials: *accept*."""

    base_url: str = "https://api.anthropic.com"
    connect_timeout: float = 5.0
    first_byte_timeout: float = 180.0
    response_timeout: float = 600.0
    accept: frozenset[str] = frozenset(values.CREDENTIAL_KINDS)
    proxy: str = ""  # may hold a password
    ca_file: str = ""  # the older name of [network] ca_file

    def __repr__(self) -> str:
        return _without("proxy", self)


class Network(NamedTuple):
    """How every upstream is reached. *ca_file* adds to the usual trust, *proxy* replaces the usual proxy."""

    proxy: str = ""  # may hold a password
    ca_file: str = ""

    def __repr__(self) -> str:
        return _without("proxy", self)


class Router(NamedTuple):
    """When to retry, and when to leave an upstream alone."""

    num_retries: int = 3
    timeout: float = 120.0
    allowed_fails: int = 1
    cooldown_time: float = 60.0
    retry_after: float = 5.0
    fallback: bool = True
    fallback_on: frozenset[str] = frozenset(values.FALLBACK_ON)
    fallbacks: Mapping[str, tuple[str, ...]] = _NOTHING


class Bedrock(NamedTuple):
    """How Bedrock is reached. *timeout* is how many seconds may pass without a byte from it.

    *monthly_budget* is in USD, 0 for none: beyond it nothing falls back to Bedrock.
    """

    enabled: str = "auto"
    profile: str = "Sandbox.AdministratorAccess"
    region: str = "us-west-2"
    geography: str = "auto"
    callers: values.Callers = "auto"
    runtime_endpoint: str = ""
    control_endpoint: str = ""
    timeout: float = 120.0
    models: Mapping[str, str] = _NOTHING
    through: Literal["litellm", "direct"] = "litellm"
    monthly_budget: float = 0.0

    @property
    def runtime_url(self) -> str:
        """The URL of Bedrock's runtime, which answers messages."""
        return self.runtime_endpoint or usual_runtime_url(self.region)

    @property
    def control_url(self) -> str:
        """The URL of its control plane, which lists models."""
        return self.control_endpoint or f"https://bedrock.{self.region}.amazonaws.com"


class LiteLlm(NamedTuple):
    """LiteLLM: when it is loaded, and the user's own configuration for it."""

    load: str = "auto"
    config: str = ""


class Sso(NamedTuple):
    """The login at AWS. *warn_before* is in minutes before its end, the longest first."""

    warn_before: tuple[int, ...] = (60, 15, 5)


class Notify(NamedTuple):
    """How notices are sent, beside log and status. *command* is run by a shell."""

    enabled: bool = True
    command: str = ""


class LedgerConfig(NamedTuple):
    """What is recorded of requests, and where: *url* is a PostgreSQL's, "" a file of SQLite. *keep_days* 0: for ever.

    *use_database_url*: DATABASE_URL, which is usually another program's, names the database where *url* is empty.
    *prices* are the person's own.
    """

    enabled: bool = True
    url: str = ""  # may hold a password
    use_database_url: bool = False
    keep_days: int = 365
    prices: Mapping[str, values.TokenPrices] = _NOTHING

    def __repr__(self) -> str:
        return _without("url", self)


class SharedConfig(NamedTuple):
    """What gateways share: the PostgreSQL at *url*, "" for nothing, and the secret in *secret_file* that they all have.

    *url* is also the ledger's where that has none.
    """

    url: str = ""  # may hold a password
    secret_file: str = ""

    def __repr__(self) -> str:
        return _without("url", self)


class MetricsConfig(NamedTuple):
    """Who may read /metrics: whoever has the gateway key, or, if *open*, everybody on this machine."""

    open: bool = False


class DashboardConfig(NamedTuple):
    """Whether there is a dashboard in *remote* mode, too."""

    remote: bool = False


class KeysConfig(NamedTuple):
    """What a named key may do that says nothing else. *monthly_budget* is in USD; 0 is no limit, of either."""

    bedrock: bool = True
    monthly_budget: float = 0.0
    requests_per_minute: int = 0


class Log(NamedTuple):
    """How much is logged."""

    level: str = "info"


class Config(NamedTuple):
    """The whole configuration. *source* is the file it came from, None if there is none.

    *aws_problems* are wrong values in AWS's own variables: they disable Bedrock, but do not prevent a start.
    """

    listen: Listen = Listen()
    anthropic: Anthropic = Anthropic()
    router: Router = Router()
    log: Log = Log()
    aliases: Mapping[str, str] = _NOTHING
    source: Path | None = None
    bedrock: Bedrock = Bedrock()
    litellm: LiteLlm = LiteLlm()
    sso: Sso = Sso()
    notify: Notify = Notify()
    network: Network = Network()
    ledger: LedgerConfig = LedgerConfig()
    metrics: MetricsConfig = MetricsConfig()
    dashboard: DashboardConfig = DashboardConfig()
    shared: SharedConfig = SharedConfig()
    keys: KeysConfig = KeysConfig()
    aws_problems: tuple[Problem, ...] = ()


def usual_runtime_url(region: str) -> str:
    """Return the URL of Bedrock's runtime in a region, where none is configured."""
    return f"https://bedrock-runtime.{region}.amazonaws.com"
