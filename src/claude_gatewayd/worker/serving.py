"""Who answers Claude Code's messages: Anthropic, Bedrock in its place, or neither; since when, and why."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from claude_gatewayd.worker.sharing.facts import ServedBy as ServedByFact

# A caller that was not answered by Anthropic, and has not asked again for so many seconds, is forgotten: but only if
# Anthropic has answered another one since.
LAPSES = 600.0
_MAX_CALLERS = 256
_MAX_MODEL_NAME = 100
_PUBLISHED_EVERY: Final = 60.0  # seconds: what nobody says again lapses

ServingKey = tuple[str, str]  # the digest of a caller's credential, and a model: each pair may have a limit of its own
ServedBy = Literal["", "anthropic", "bedrock", "nobody"]


class Serving(NamedTuple):
    """Who serves, "" if nobody has asked yet, and *since* when, in seconds since the epoch.

    *why* is why Anthropic does not serve, as `policy` and the circuit put it; *trouble* why Bedrock does not either,
    and *hint* the command that helps.
    """

    by: ServedBy = ""
    since: float = 0.0
    why: str = ""
    trouble: str = ""
    hint: str = ""


class ServingTracker:
    """Track who was answered by whom. Only callers that Anthropic does not answer are kept."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._publish: Callable[[ServedByFact], None] = lambda _: None
        self._published: dict[ServingKey, float] = {}  # what is elsewhere, when it was last published
        self._elsewhere: OrderedDict[ServingKey, tuple[Serving, float]] = (
            OrderedDict()
        )  # with the time of the last request
        self._since: float | None = None  # when Anthropic began to answer everybody
        self._last = 0.0

    def publish_by(self, publish: Callable[[ServedByFact], None]) -> None:
        """Have *publish* called with what other workers should know, and `take` with what they have published."""
        self._publish = publish

    def publish_all(self) -> None:
        """Let a worker that begins know who is answered elsewhere."""
        for key, (serving, _) in self._elsewhere.items():
            self._publish(_fact(key, serving))

    def take(self, fact: ServedByFact) -> None:
        """Note what another worker has found."""
        key = _bounded((fact.credential, fact.model))
        if fact.by == "anthropic":
            self._answered(key)
        elif fact.by in ("bedrock", "nobody"):
            self._put(key, "bedrock" if fact.by == "bedrock" else "nobody", fact.why, fact.trouble, fact.hint)

    def by_anthropic(self, key: ServingKey) -> None:
        """Note that Anthropic answered."""
        if self._elsewhere and self._elsewhere.get(key := _bounded(key)) is not None:
            self._published.pop(key, None)
            self._publish(ServedByFact(*key, "anthropic"))
        self._answered(key)

    def _answered(self, key: ServingKey) -> None:
        self._last = self._clock()
        if self._elsewhere:
            self._elsewhere.pop(key, None)
        if self._since is None and not self._elsewhere:
            self._since = self._last

    def by_bedrock(self, key: ServingKey, why: str) -> None:
        """Note that Bedrock answered in Anthropic's place."""
        self._note(key, "bedrock", why, "", "")

    def by_nobody(self, key: ServingKey, why: str, trouble: str, hint: str) -> None:
        """Note that Bedrock was asked in Anthropic's place, and failed too."""
        self._note(key, "nobody", why, trouble, hint)

    def _note(self, key: ServingKey, by: ServedBy, why: str, trouble: str, hint: str) -> None:
        key = _bounded(key)
        before, now = self._elsewhere.get(key), self._clock()
        self._put(key, by, why, trouble, hint)
        serving = self._elsewhere[key][0]
        is_new = before is None or before[0] != serving
        if is_new or not 0 <= now - self._published.get(key, 0.0) < _PUBLISHED_EVERY:
            self._published[key] = now
            while len(self._published) > _MAX_CALLERS:
                del self._published[next(iter(self._published))]
            self._publish(_fact(key, serving))

    def _put(self, key: ServingKey, by: ServedBy, why: str, trouble: str, hint: str) -> None:
        now = self._clock()
        before = self._elsewhere.pop(key, None)
        since = before[0].since if before is not None and before[0].by == by else now
        self._elsewhere[key] = Serving(by, since, why, trouble, hint), now
        self._since = None
        while len(self._elsewhere) > _MAX_CALLERS:
            self._elsewhere.popitem(last=False)

    def current(self) -> Serving:
        """Return the worst that any caller sees: nobody answers, Bedrock does, or Anthropic."""
        now = self._clock()
        for key, (_, last) in list(self._elsewhere.items()):
            if self._last > last and not 0 <= now - last < LAPSES:
                del self._elsewhere[key]
        if self._elsewhere:
            seen = [serving for serving, _ in self._elsewhere.values()]
            worst = [s for s in seen if s.by == "nobody"] or seen
            latest = worst[-1]
            since = min(s.since for s in worst)
            return Serving(latest.by, since, latest.why, latest.trouble, latest.hint)
        if not self._last:
            return Serving()
        if self._since is None:
            self._since = self._last
        return Serving("anthropic", self._since)


def _fact(key: ServingKey, serving: Serving) -> ServedByFact:
    return ServedByFact(*key, serving.by, serving.why, serving.trouble, serving.hint)


def _bounded(key: ServingKey) -> ServingKey:
    """Bound the memory that a key takes: a caller can write anything as the name of a model."""
    digest, model = key
    return digest, model[:_MAX_MODEL_NAME]
