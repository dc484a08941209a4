"""The facts that workers share. Times are durations: the clocks of two machines differ."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CredentialAccepted:
    """Anthropic has accepted a credential, by its keyed hash."""

    digest: str


@dataclass(frozen=True, slots=True)
class CircuitChanged:
    """A circuit has opened, closed, moved, or let a probe through. *ends_in* and *probe_in* are in seconds from now."""

    credential: str
    model: str
    own_limits: str = ""
    is_open: bool = False
    is_limit: bool = False
    ends_in: float = 0.0
    probe_in: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FactsWanted:
    """A worker that begins to serve asks for what holds now."""


Fact = CredentialAccepted | CircuitChanged | FactsWanted
