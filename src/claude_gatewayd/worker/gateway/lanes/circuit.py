"""The circuit breaker: whether to ask Anthropic, for one credential and one model. No socket.

A closed circuit lets requests through. Failures open it, and so does a limit that is reached; then requests go to
Bedrock, except for a probe now and then. A probe that succeeds closes it. Times are seconds since the epoch, as a
limit's reset is. The clock may be set back: a circuit that was opened in the future is probed at once.
"""

import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from claude_gatewayd.system.clock_time import clock_time
from claude_gatewayd.worker.sharing.facts import CircuitChanged

logger = logging.getLogger(__name__)

WINDOW = (
    60.0  # failures within it count together; LiteLLM counts within cooldown_time (router_utils/cooldown_handlers.py)
)
PROBE_EVERY = 300.0  # while a limit is reached: it may be lifted or raised before its reset
OTHERS_PROBE_LATER = (2.0, 7.0)  # seconds: who published the circuit probes first, and says how that went
PROBE_LASTS = 120.0  # a probe without a verdict for so long is forgotten
LONGEST_LIMIT = 8 * 86400.0  # Anthropic's longest limit is weekly
LONGEST_RETRY_AFTER = 600.0
_THE_SAME = 5.0  # seconds: a fact has been on its way
_MOST = 512
_LONGEST_NAME = 100

CircuitState = Literal["closed", "open", "probe"]


class CircuitKey(NamedTuple):
    """What has a circuit of its own: a credential, by its digest, and a model; and betas with limits of their own."""

    credential: str
    model: str
    own_limits: str = ""

    @property
    def name(self) -> str:
        """The model's name in the log and the status."""
        return f"{self.model} with {self.own_limits}" if self.own_limits else self.model


def circuit_key(credential: str, model: str, own_limits: str = "") -> CircuitKey:
    """Return the key of a circuit. A model's name is whatever the caller sent, so its length is bounded."""
    return CircuitKey(credential, model[:_LONGEST_NAME], own_limits)


class CircuitRules(NamedTuple):
    """What opens a circuit: more than *allowed_fails* failures within a minute; for *cooldown_time* seconds."""

    allowed_fails: int
    cooldown_time: float


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit.

    A closed one has the times of its *failures* since the last success. Of an open one, *since* is when it opened or a
    probe last failed, *until* when it ends, *probe_at* when the next probe may go, and *limit* whether a limit that is
    reached opened it.
    """

    failures: tuple[float, ...] = ()
    is_open: bool = False
    since: float = 0.0
    until: float = 0.0
    probe_at: float = 0.0
    limit: bool = False
    is_probing: bool = False
    reason: str = ""

    def state(self, now: float) -> CircuitState:
        """Return what a request may do. After "probe", `probing` must follow."""
        if not self.is_open:
            return "closed"
        return "probe" if now >= self.probe_at or now < self.since else "open"

    def probing(self, now: float) -> "Circuit":
        """Let one request through. The next probe may go when this one is forgotten."""
        return replace(self, since=min(self.since, now), probe_at=now + PROBE_LASTS, is_probing=True)

    def released(self, now: float) -> "Circuit":
        """Return a probe that came to no verdict: the next request is the probe."""
        return replace(self, probe_at=now, is_probing=False) if self.is_probing else self

    def failed(self, now: float, reason: str, rules: CircuitRules, retry_after: float | None = None) -> "Circuit":
        """Count a failure. A *retry_after* longer than the cool-down replaces it, up to ten minutes."""
        if self.is_open and not self.is_probing:
            return self  # from a request that began earlier, or had no fallback: nothing new
        if self.is_open and self.limit and self.until > now:
            return self._opened(now, self.until, self.reason, limit=True)
        recent = (*(at for at in self.failures if 0 <= now - at < WINDOW), now)
        if not self.is_open and len(recent) <= rules.allowed_fails:
            return Circuit(recent)
        return self._opened(now, now + max(rules.cooldown_time, min(retry_after or 0.0, LONGEST_RETRY_AFTER)), reason)

    def rejected(self, now: float, reset: float, reason: str, rules: CircuitRules) -> "Circuit":
        """Open until a limit's *reset*. If it is not plausible, until the known reset, or for the cool-down."""
        if now < reset <= now + LONGEST_LIMIT:
            return self._opened(now, reset, reason, limit=True)
        if self.limit and self.until > now:
            return self._opened(now, self.until, reason, limit=True)
        return self._opened(now, now + rules.cooldown_time, reason)

    def _opened(self, now: float, until: float, reason: str, *, limit: bool = False) -> "Circuit":
        probe_at = min(until, now + PROBE_EVERY) if limit else until
        return Circuit(is_open=True, since=now, until=until, probe_at=probe_at, limit=limit, reason=reason)


CLOSED = Circuit()


class Circuits:
    """The circuits of a generation, by credential and model; the 512 that were used last.

    *label* returns the name of a credential in the log and the status. *publish* is called with what other workers
    should know, and `take` with what they have published.
    """

    def __init__(
        self,
        rules: CircuitRules,
        label: Callable[[str], str],
        clock: Callable[[], float] = time.time,
        publish: Callable[[CircuitChanged], None] = lambda _: None,
    ) -> None:
        self._rules = rules
        self._label = label
        self._clock = clock
        self._publish = publish
        self._circuits: OrderedDict[CircuitKey, Circuit] = (
            OrderedDict()
        )  # without those that are closed and have no failures

    def admit(self, key: CircuitKey) -> CircuitState:
        """Return what a request may do. After "probe", a verdict or `released` must follow."""
        circuit = self._circuits.get(key)
        if circuit is None:
            return "closed"
        self._circuits.move_to_end(key)
        now = self._clock()
        state = circuit.state(now)
        if state == "probe":
            probing = self._circuits[key] = circuit.probing(now)
            self._publish(_fact(key, probing, now))
        return state

    def is_known(self, key: CircuitKey) -> bool:
        """Return whether a circuit is open, or has failures. `admit` may let a request through in spite of that."""
        return key in self._circuits

    def is_open(self, key: CircuitKey) -> bool:
        """Return whether requests go elsewhere now. Unlike `admit`, it lets no probe through."""
        circuit = self._circuits.get(key)
        return circuit is not None and circuit.state(self._clock()) == "open"

    def reason(self, key: CircuitKey) -> str:
        """Return what opened a circuit; "" if it is closed."""
        return self._circuits.get(key, CLOSED).reason

    def succeeded(self, key: CircuitKey) -> None:
        """Close a circuit: Anthropic has answered."""
        circuit = self._circuits.pop(key, CLOSED)
        if circuit.is_open:
            self._publish(_fact(key, CLOSED, self._clock()))
            logger.info("the circuit of %s for %s closes: Anthropic answers", *self._named(key))

    def failed(self, key: CircuitKey, reason: str, retry_after: float | None = None) -> None:
        """Count a failure against a circuit. *retry_after* is the answer's header, in seconds."""
        self._change(key, lambda circuit, now: circuit.failed(now, reason, self._rules, retry_after))

    def rejected(self, key: CircuitKey, reset: float, reason: str) -> None:
        """Open a circuit until a limit's *reset*, 0 if that is unknown."""
        self._change(key, lambda circuit, now: circuit.rejected(now, reset, reason, self._rules))

    def released(self, key: CircuitKey) -> None:
        """Return a probe that came to no verdict. After a verdict this does nothing."""
        if key in self._circuits:
            self._change(key, lambda circuit, now: circuit.released(now))

    def take(self, fact: CircuitChanged) -> None:
        """Take over the state of a circuit that another worker has published, and logged."""
        key = circuit_key(fact.credential, fact.model, fact.own_limits)
        if not fact.is_open:
            self._circuits.pop(key, None)
            return
        now = self._clock()
        known = self._circuits.get(key, CLOSED)
        if fact.again and known.is_open and abs(known.until - now - fact.ends_in) < _THE_SAME:
            return  # each time that somebody begins, its probe would be put off
        ends_in = min(max(fact.ends_in, 0.0), LONGEST_LIMIT)
        probe_in = min(max(fact.probe_in, 0.0), LONGEST_LIMIT) + random.uniform(*OTHERS_PROBE_LATER)  # noqa: S311
        circuit = Circuit(
            is_open=True, since=now, until=now + ends_in, probe_at=now + probe_in, limit=fact.is_limit,
            reason=fact.reason,
        )  # fmt: skip
        self._put(key, circuit)

    def publish_all(self) -> None:
        """Publish the circuits that are open, for a worker that begins."""
        now = self._clock()
        for key, circuit in self._circuits.items():
            if circuit.is_open and circuit.since <= now < circuit.until:
                self._publish(_fact(key, circuit, now)._replace(again=True))

    def snapshot(self) -> list[dict[str, Any]]:
        """Return the open circuits, for the status. One that has ended is not open: the next request is let through."""
        now = self._clock()
        return [
            {
                "credential": self._label(key.credential),
                "model": key.name,
                "why": circuit.reason,
                "until": round(circuit.until),
            }
            for key, circuit in self._circuits.items()
            if circuit.is_open and circuit.since <= now < circuit.until
        ]

    def _change(self, key: CircuitKey, change: Callable[[Circuit, float], Circuit]) -> None:
        now = self._clock()
        before = self._circuits.get(key, CLOSED)
        after = change(before, now)
        self._put(key, after)
        if after.is_open and after != before:
            self._publish(_fact(key, after, now))
        # In a long outage every probe fails, which is not logged. A limit that is reached, or that moves, is.
        if after.is_open and (not before.is_open or (after.limit and after.until != before.until)):
            until = clock_time(after.until, now)
            logger.warning("the circuit of %s for %s opens until %s (%s)", *self._named(key), until, after.reason)

    def _put(self, key: CircuitKey, circuit: Circuit) -> None:
        self._circuits[key] = circuit
        self._circuits.move_to_end(key)
        while len(self._circuits) > _MOST:
            self._circuits.popitem(last=False)

    def _named(self, key: CircuitKey) -> tuple[str, str]:
        """Return the names for the log. A model's is whatever the caller sent, so it is escaped."""
        return self._label(key.credential), ascii(key.name)[1:-1]


def _fact(key: CircuitKey, circuit: Circuit, now: float) -> CircuitChanged:
    ends_in, probe_in = circuit.until - now, circuit.probe_at - now
    return CircuitChanged(*key, circuit.is_open, circuit.limit, round(ends_in, 3), round(probe_in, 3), circuit.reason)
