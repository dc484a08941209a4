"""The settings of the engine."""

from dataclasses import dataclass
from pathlib import Path

from claude_gatewayd.network.egress import Egress


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine is started with.

    *config* is the person's own LiteLLM configuration, *endpoint* Bedrock's, "" for the usual one, *bedrock_url* the
    URL in either case, *loopback* the URL at which LiteLLM reaches this worker, *egress* how AWS is reached.
    """

    config: Path | None
    region: str
    endpoint: str
    bedrock_url: str
    loopback: str
    egress: Egress
