"""What serving costs: CPU time for a message and for an event of a stream, memory for streams that are open."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from bench import processes

from trial.clients import Asked
from trial.team import Team

_WORKER: Final = "claude_gatewayd.worker"
_SLOW: Final = 4.0  # seconds between two events of a stream that is measured while it is open
_BUSY: Final = (4, 50)  # an engineer at work without a pause: streams at once, and events a second of each
_MESSAGES: Final = 1.0  # and messages a second
_FULL: Final = 0.5  # of a core, which leaves room for the rest


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds by who took them: for a message, for an event; memory in MB, and of a gateway for 100 streams."""

    message: Mapping[str, float]
    event: Mapping[str, float]
    memory: Mapping[str, float]
    per_100_streams: float
    messages: int
    events: int

    @classmethod
    def of(cls, team: Team) -> Self:
        """Measure a team at which nobody else works."""
        message, short = _cpu_of(team, "messages", streams=0, messages=40, seconds=12.0, rest=0.1)
        taken, long = _cpu_of(team, "streams", streams=200, messages=0, seconds=12.0)
        events = sum(one.events for one in long)
        share = len(team.balancers)
        per_message = {who: used / len(short) for who, used in _together(message, share).items()}
        per_event = {
            who: max(0.0, used - len(long) * per_message[who]) / events for who, used in _together(taken, share).items()
        }
        before = _of_workers(team)
        with team.crowd("open", streams=200, messages=0, events=5, pause=_SLOW, begin_within=2.0):
            time.sleep(2 * _SLOW)
            opened = sum(map(team.under_way, team.gateways))
            memory = {
                **{f"gateway {gateway.name}": _memory(gateway.pid) for gateway in team.gateways},
                **{balancer.name: balancer.memory() for balancer in team.balancers},
                "PostgreSQL": _memory(team.database.pid),
            }
            per_100 = (_of_workers(team) - before) / opened * 100
        return cls(per_message, per_event, memory, per_100, len(short), events)

    def lines(self) -> Sequence[str]:
        """Return what it comes to, for a person."""
        message, event = self.message["a gateway"], self.event["a gateway"]
        streams, pace = _BUSY
        engineer = streams * pace * event + _MESSAGES * message
        return [
            f"a message costs {_micro(self.message)} of CPU time ({self.messages:,} messages)",
            f"an event costs {_micro(self.event)} ({self.events:,} events, ten a second in each of 200 streams)",
            f"100 open streams cost a gateway {self.per_100_streams:.1f} MB",
            "memory with 200 streams open, all processes of each, PSS: "
            + ", ".join(f"{who} {held:.0f} MB" for who, held in self.memory.items()),
            f"so a core serves {1 / message:,.0f} messages or {1 / event:,.0f} events a second, and half a core "
            f"{_FULL / engineer:,.0f} engineers of whom each has {streams} streams at once without a pause, "
            f"{pace} events a second in each",
        ]


def _cpu_of(
    team: Team, label: str, *, streams: int, messages: int, seconds: float, rest: float = 0.5
) -> tuple[Mapping[str, float], list[Asked]]:
    """Return what serving such a crowd for a while takes, and what they asked."""
    before = team.cpu()
    first = len(team.crowds)
    with team.crowd(label, streams=streams, messages=messages, events=60, rest=rest):
        time.sleep(seconds)
    time.sleep(1.5)  # rows are written within a second
    asked = [one for crowd in team.crowds[first:] for one in crowd.asked]
    return {who: used - before[who] for who, used in team.cpu().items()}, asked


def _together(taken: Mapping[str, float], balancers: int) -> dict[str, float]:
    """Add up what the gateways took. Of several balancers each has passed on its share only."""
    found = {"a gateway": 0.0}
    for who, used in taken.items():
        if who.startswith("gateway "):
            found["a gateway"] += used
        else:
            found[who] = used * (1 if who == "PostgreSQL" else balancers)
    return found


def _micro(costs: Mapping[str, float]) -> str:
    return ", ".join(f"{who} {1e6 * used:.0f} µs" for who, used in costs.items())


def _memory(root: int) -> float:
    return sum(held.pss for held in map(processes.memory, processes.family(root)) if held)


def _of_workers(team: Team) -> float:
    held = [processes.memory(pid) for gateway in team.gateways for pid in gateway.workers()]
    return sum(one.rss for one in held if one)
