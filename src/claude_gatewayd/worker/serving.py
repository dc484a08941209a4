"""Who answers Claude Code's messages: Anthropic, Bedrock in its place, or neither; since when, and why. No socket."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

LAPSES = 600.0  # who has not asked for so long, while Anthropic answered another, may not come again
_MOST = 256
_LONGEST_NAME = 100

ServingKey = tuple[str, str]  # a caller's credential, as a digest, and a model: each may have its own limit
ServedBy = Literal["", "anthropic", "bedrock", "nobody"]


@dataclass(frozen=True, slots=True)
class Serving:
    """Who serves, "" where nobody has asked yet, and *since* when: seconds since the epoch.

    *why* is why Anthropic does not, by the words of `policy` and the circuit; *trouble* why Bedrock does not either,
    and *hint* the command that mends it.
    """

    by: ServedBy = ""
    since: float = 0.0
    why: str = ""
    trouble: str = ""
    hint: str = ""


class ServingTracker:
    """Note who answered whom. Whoever Anthropic answers has nothing to tell, so only the others are kept."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._elsewhere: OrderedDict[ServingKey, tuple[Serving, float]] = (
            OrderedDict()
        )  # with the time of the last word
        self._since: float | None = None  # nobody is served elsewhere
        self._last = 0.0

    def by_anthropic(self, key: ServingKey) -> None:
        """Note that Anthropic answered."""
        self._last = self._clock()
        if self._elsewhere:
            self._elsewhere.pop(_short(key), None)
        if self._since is None and not self._elsewhere:
            self._since = self._last

    def by_bedrock(self, key: ServingKey, why: str) -> None:
        """Note that Bedrock answered in Anthropic's place."""
        self._note(key, "bedrock", why, "", "")

    def by_nobody(self, key: ServingKey, why: str, trouble: str, hint: str) -> None:
        """Note that Bedrock was to answer in Anthropic's place, and could not."""
        self._note(key, "nobody", why, trouble, hint)

    def _note(self, key: ServingKey, by: ServedBy, why: str, trouble: str, hint: str) -> None:
        now = self._clock()
        key = _short(key)
        before = self._elsewhere.pop(key, None)
        since = before[0].since if before is not None and before[0].by == by else now
        self._elsewhere[key] = Serving(by, since, why, trouble, hint), now
        self._since = None
        while len(self._elsewhere) > _MOST:
            self._elsewhere.popitem(last=False)

    def current(self) -> Serving:
        """Return who serves, by the worst that anybody sees: neither of them, Bedrock, Anthropic."""
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


def _short(key: ServingKey) -> ServingKey:
    """Bound what a key takes of memory: a model's name is whatever the caller wrote."""
    digest, model = key
    return digest, model[:_LONGEST_NAME]
