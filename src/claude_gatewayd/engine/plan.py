"""What an engine is started with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """What an engine is started with.

    *socket* is where it serves, *config* a LiteLLM configuration of the person's own, *endpoint* Bedrock's where it is
    not AWS's own, *loopback* the URL of this worker's port for LiteLLM.
    """

    socket: Path
    config: Path | None
    region: str
    endpoint: str
    loopback: str
