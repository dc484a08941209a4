"""What an engine is started with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from claude_gatewayd.catalog import Family


@dataclass(frozen=True, slots=True)
class Plan:
    """What an engine is started with.

    *socket* is where it serves, *config* a LiteLLM configuration of the person's own, *endpoint* Bedrock's where it is
    not AWS's own, *loopback* the URL of this worker's port for LiteLLM, *models* ids that only the person knows.
    """

    socket: Path
    config: Path | None
    region: str
    endpoint: str
    loopback: str
    models: Mapping[str, Family] = field(default_factory=dict)
