"""The settings of the engine."""

from pathlib import Path
from typing import NamedTuple

from claude_gatewayd.network.egress import Egress


class EngineSettings(NamedTuple):
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
