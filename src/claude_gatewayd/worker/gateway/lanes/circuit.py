"""Whether Anthropic is worth a try, for one credential and one model: the circuit, and all of them. No socket.

Closed, it lets requests through. Failures open it, and so does a limit that is reached; then requests go elsewhere, but
for a probe now and then. One probe that succeeds closes it. Times are seconds since the epoch, as a limit's reset is;
that clock may be set: a circuit that opened in what is now the future is probed at once.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from claude_gatewayd.system.clock_time import clock_time

logger = logging.getLogger(__name__)

WINDOW = 60.0  # failures count together within it; LiteLLM's within cooldown_time (router_utils/cooldown_handlers.py)
PROBE_EVERY = 300.0  # of a limit that is reached: it may be lifted, or raised, before its reset
PROBE_LASTS = 120.0  # a probe of which nothing is heard for so long is forgotten
LONGEST_LIMIT = 8 * 86400.0  # Anthropic's longest is of seven days
LONGEST_WISH = 600.0  # of a Retry-After
_MOST = 512
_LONGEST_NAME = 100

CircuitKey = tuple[str, str]
CircuitState = Literal["closed", "open", "probe"]


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """What opens a circuit: more than *allowed_fails* failures within a minute; for *cooldown_time* seconds."""

    allowed_fails: int
    cooldown_time: float


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit.

    Closed, it has the times of its last failures, with no success since. Open, *since* is when it opened or a probe
    last failed, *until* when it is over, *probe_at* when the next probe may go, and *limit* says that a reached limit
    opened it.
    """

    failures: tuple[float, ...] = ()
    is_open: bool = False
    since: float = 0.0
    until: float = 0.0
    probe_at: float = 0.0
    limit: bool = False
    is_probing: bool = False
    why: str = ""

    def ask(self, now: float) -> CircuitState:
        """Say what a request may do. One that is told "probe" goes with what `probing` returns."""
        if not self.is_open:
            return "closed"
        return "probe" if now >= self.probe_at or now < self.since else "open"

    def probing(self, now: float) -> "Circuit":
        """Let one request through: the others wait for what comes of it, or until it is forgotten."""
        return replace(self, since=min(self.since, now), probe_at=now + PROBE_LASTS, is_probing=True)

    def released(self, now: float) -> "Circuit":
        """Give a probe back that came to no verdict: the next request is one."""
        return replace(self, probe_at=now, is_probing=False) if self.is_probing else self

    def failed(self, now: float, why: str, rules: CircuitRules, retry_after: float | None = None) -> "Circuit":
        """Count a failure. A *retry_after* that is longer than the cool-down takes its place, within ten minutes."""
        if self.is_open and not self.is_probing:
            return self  # of a request that was under way before, or had nowhere else to go: it proves nothing new
        if self.is_open and self.limit and self.until > now:
            return self._opened(now, self.until, self.why, limit=True)
        recent = (*(at for at in self.failures if 0 <= now - at < WINDOW), now)
        if not self.is_open and len(recent) <= rules.allowed_fails:
            return Circuit(recent)
        return self._opened(now, now + max(rules.cooldown_time, min(retry_after or 0.0, LONGEST_WISH)), why)

    def rejected(self, now: float, reset: float, why: str, rules: CircuitRules) -> "Circuit":
        """Open until a limit's *reset*. Without one that can be, until that known before, or to cool down."""
        if now < reset <= now + LONGEST_LIMIT:
            return self._opened(now, reset, why, limit=True)
        if self.limit and self.until > now:
            return self._opened(now, self.until, why, limit=True)
        return self._opened(now, now + rules.cooldown_time, why)

    def _opened(self, now: float, until: float, why: str, *, limit: bool = False) -> "Circuit":
        probe_at = min(until, now + PROBE_EVERY) if limit else until
        return Circuit(is_open=True, since=now, until=until, probe_at=probe_at, limit=limit, why=why)


CLOSED = Circuit()


class Circuits:
    """All circuits of a generation, by digest of the credential and model; the last used 512 of those that count.

    *label* says how a credential is called in the log and the status.
    """

    def __init__(
        self, rules: CircuitRules, label: Callable[[str], str], clock: Callable[[], float] = time.time
    ) -> None:
        self._rules = rules
        self._label = label
        self._clock = clock
        self._circuits: OrderedDict[CircuitKey, Circuit] = (
            OrderedDict()
        )  # those that have nothing to tell are not in it

    def ask(self, key: CircuitKey) -> CircuitState:
        """Say what a request may do. After "probe" a verdict must follow, or `released`."""
        key = _short(key)
        circuit = self._circuits.get(key)
        if circuit is None:
            return "closed"
        self._circuits.move_to_end(key)
        now = self._clock()
        standing = circuit.ask(now)
        if standing == "probe":
            self._circuits[key] = circuit.probing(now)
        return standing

    def why(self, key: CircuitKey) -> str:
        """Say what opened a circuit; "" for a closed one."""
        return self._circuits.get(_short(key), CLOSED).why

    def succeeded(self, key: CircuitKey) -> None:
        """Close a circuit: Anthropic answers."""
        circuit = self._circuits.pop(_short(key), CLOSED)
        if circuit.is_open:
            logger.info("the circuit of %s for %s closes: Anthropic answers", *self._named(key))

    def failed(self, key: CircuitKey, why: str, retry_after: float | None = None) -> None:
        """Count a failure against a circuit. *retry_after* is what the answer asks for, in seconds."""
        self._change(key, lambda circuit, now: circuit.failed(now, why, self._rules, retry_after))

    def rejected(self, key: CircuitKey, reset: float, why: str) -> None:
        """Open a circuit until a limit's *reset*, 0 for one that is not known."""
        self._change(key, lambda circuit, now: circuit.rejected(now, reset, why, self._rules))

    def released(self, key: CircuitKey) -> None:
        """Give back a probe that came to no verdict. After a verdict it does nothing."""
        if _short(key) in self._circuits:
            self._change(key, lambda circuit, now: circuit.released(now))

    def snapshot(self) -> list[dict[str, Any]]:
        """Return the open ones, for the status. One that is over is tried by the next request: it is none of them."""
        now = self._clock()
        return [
            {"credential": self._label(digest), "model": model, "why": circuit.why, "until": round(circuit.until)}
            for (digest, model), circuit in self._circuits.items()
            if circuit.is_open and circuit.since <= now < circuit.until
        ]

    def _change(self, key: CircuitKey, change: Callable[[Circuit, float], Circuit]) -> None:
        key = _short(key)
        now = self._clock()
        before = self._circuits.get(key, CLOSED)
        after = change(before, now)
        self._circuits[key] = after
        self._circuits.move_to_end(key)
        while len(self._circuits) > _MOST:
            self._circuits.popitem(last=False)
        # Probe after probe of a long outage fails: that is no news. That a limit is reached, or moved, is.
        if after.is_open and (not before.is_open or (after.limit and after.until != before.until)):
            until = clock_time(after.until, now)
            logger.warning("the circuit of %s for %s opens until %s (%s)", *self._named(key), until, after.why)

    def _named(self, key: CircuitKey) -> tuple[str, str]:
        """Return what a credential and a model are called in the log; a model's name is whatever the caller wrote."""
        return self._label(key[0]), ascii(_short(key)[1])[1:-1]


def _short(key: CircuitKey) -> CircuitKey:
    """Bound what a key takes of memory."""
    digest, model = key
    return digest, model[:_LONGEST_NAME]
