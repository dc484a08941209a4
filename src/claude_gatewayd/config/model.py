"""The configuration as frozen dataclasses, with its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from claude_gatewayd.config import values
from claude_gatewayd.problem import Problem


@dataclass(frozen=True, slots=True)
class Listen:
    """Where callers reach us. Times are in seconds, sizes in bytes."""

    host: str = "127.0.0.1"
    port: int = 47000
    hosts: tuple[str, ...] = ()
    remote: bool = False
    drain_timeout: float = 900.0
    max_body: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Anthropic:
    """How Anthropic is reached."""

    base_url: str = "https://api.anthropic.com"
    connect_timeout: float = 5.0
    first_byte_timeout: float = 180.0
    response_timeout: float = 600.0
    proxy: str = field(default="", repr=False)  # may hold a password
    ca_file: str = ""  # the older name of [network] ca_file


@dataclass(frozen=True, slots=True)
class Network:
    """How every upstream is reached. *ca_file* adds to the usual trust, *proxy* replaces the usual proxy."""

    proxy: str = field(default="", repr=False)  # may hold a password
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Router:
    """When to retry, and when to leave an upstream alone."""

    num_retries: int = 3
    timeout: float = 120.0
    allowed_fails: int = 1
    cooldown_time: float = 60.0
    retry_after: float = 5.0
    fallback: bool = True
    fallback_on: frozenset[str] = frozenset(values.FALLBACK_ON)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bedrock:
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
    models: Mapping[str, str] = field(default_factory=dict)
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


@dataclass(frozen=True, slots=True)
class LiteLlm:
    """LiteLLM: when it is loaded, and the user's own configuration for it."""

    load: str = "auto"
    config: str = ""


@dataclass(frozen=True, slots=True)
class Sso:
    """The login at AWS. *warn_before* is in minutes before its end, the longest first."""

    warn_before: tuple[int, ...] = (60, 15, 5)


@dataclass(frozen=True, slots=True)
class Notify:
    """How notices are sent, beside log and status. *command* is run by a shell."""

    enabled: bool = True
    command: str = ""


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """What is recorded of requests, and where: *url* is a PostgreSQL's, "" a file of SQLite. *keep_days* 0: for ever.

    *use_database_url*: DATABASE_URL, which is usually another program's, names the database where *url* is empty.
    *prices* are the person's own.
    """

    enabled: bool = True
    url: str = field(default="", repr=False)  # may hold a password
    use_database_url: bool = False
    keep_days: int = 365
    prices: Mapping[str, values.TokenPrices] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Who may read /metrics: whoever has the gateway key, or, if *open*, everybody on this machine."""

    open: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """How much is logged."""

    level: str = "info"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. *source* is the file it came from, None if there is none.

    *aws_problems* are wrong values in AWS's own variables: they disable Bedrock, but do not prevent a start.
    """

    listen: Listen = field(default_factory=Listen)
    anthropic: Anthropic = field(default_factory=Anthropic)
    router: Router = field(default_factory=Router)
    log: Log = field(default_factory=Log)
    aliases: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None
    bedrock: Bedrock = field(default_factory=Bedrock)
    litellm: LiteLlm = field(default_factory=LiteLlm)
    sso: Sso = field(default_factory=Sso)
    notify: Notify = field(default_factory=Notify)
    network: Network = field(default_factory=Network)
    ledger: LedgerConfig = field(default_factory=LedgerConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    aws_problems: tuple[Problem, ...] = ()


def usual_runtime_url(region: str) -> str:
    """Return the URL of Bedrock's runtime in a region, where none is configured."""
    return f"https://bedrock-runtime.{region}.amazonaws.com"
