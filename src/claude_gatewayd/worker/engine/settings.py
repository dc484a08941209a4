"""What an engine is started with."""

from dataclasses import dataclass
from pathlib import Path

from claude_gatewayd.network.egress import Egress


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is started with.

    *socket* is where it serves, *config* a LiteLLM configuration of the person's own, *endpoint* Bedrock's where it is
    not AWS's own, *loopback* the URL of this worker's port for LiteLLM, *egress* how AWS is reached.
    """

    socket: Path
    config: Path | None
    region: str
    endpoint: str
    loopback: str
    egress: Egress

    @property
    def bedrock(self) -> str:
        """Return where Bedrock is."""
        return self.endpoint or f"https://bedrock-runtime.{self.region}.amazonaws.com"
