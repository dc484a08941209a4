"""What a generation has counted: requests, open streams, and how the upstreams do. Part of its status."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from claude_gatewayd.worker.serving import ServingKey, ServingTracker

logger = logging.getLogger(__name__)

CLIENT_GONE = 499  # nginx's number for a client that went away before its answer was complete


class Tally:
    """Count requests by the status of their answers, and keep the last success and failure of Anthropic.

    *on_change* is called when the status has changed.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.streams = 0
        self.under_way = 0
        self._statuses: Counter[int] = Counter()
        self._retries = 0
        self._fallbacks = 0
        self._anthropic = _Upstream()
        self._bedrock = _Upstream()
        self.serving = ServingTracker()

    def answered(self, status: int) -> None:
        """Count an answer."""
        self._on_change()
        self._statuses[status] += 1

    def stream_began(self) -> None:
        """Count an open stream."""
        self.streams += 1
        self._on_change()

    def stream_ended(self) -> None:
        """Count a stream that ended."""
        self.streams -= 1
        self._on_change()

    def retried(self) -> None:
        """Count a retry."""
        self._retries += 1

    def fell_back(self, key: ServingKey, why: str) -> None:
        """Count a request that Bedrock answers in Anthropic's place."""
        self._fallbacks += 1
        self.serving.by_bedrock(key, why)

    def anthropic_ok(self) -> bool:
        """Note that Anthropic answered. Return whether it failed before."""
        return self._anthropic.ok()

    def anthropic_failed(self, what: str) -> bool:
        """Note that it did not, or answered that it cannot. Return whether it did not fail before."""
        return self._anthropic.failed(what)

    def bedrock_ok(self) -> None:
        """Note that Bedrock answered, whichever lane asked; log it if it failed before."""
        if self._bedrock.ok():
            logger.info("Bedrock answers again")

    def bedrock_failed(self, what: str) -> None:
        """Note that it did not; log it if it did not fail before."""
        if self._bedrock.failed(what):
            logger.warning("Bedrock cannot answer: %s", what)

    def bedrock_refused(self, what: str) -> None:
        """Note that it answered, but refused a request for what is in it; log it unless that was the last failure."""
        if self._bedrock.note(what):
            logger.info("Bedrock refuses a request: %s", what)
        self.bedrock_ok()

    def snapshot(self) -> dict[str, Any]:
        """Return the counts as they stand, for JSON. Times are seconds since the epoch."""
        return {
            "requests": {str(status): count for status, count in sorted(self._statuses.items())},
            "retries": self._retries,
            "fallbacks": self._fallbacks,
            "streams": self.streams,
            "under_way": self.under_way,
            "anthropic": {"state": self._anthropic.state} | self._anthropic.as_dict(),
            "bedrock": self._bedrock.as_dict(),
        }


class _Upstream:
    """The last success and failure of an upstream."""

    def __init__(self) -> None:
        self._last_success: float | None = None
        self._last_failure: float | None = None
        self._failure = ""
        self._failing = False  # not derived from the times: a clock may be set back

    def ok(self) -> bool:
        has_changed = self._failing
        self._failing = False
        self._last_success = time.time()
        return has_changed

    def failed(self, what: str) -> bool:
        has_changed = not self._failing
        self._failing = True
        self.note(what)
        return has_changed

    def note(self, what: str) -> bool:
        is_new = what != self._failure
        self._last_failure = time.time()
        self._failure = what
        return is_new

    @property
    def state(self) -> str:
        return "failing" if self._failing else "ok" if self._last_success else "unknown"

    def as_dict(self) -> dict[str, Any]:
        return {"last_success": self._last_success, "last_failure": self._last_failure, "failure": self._failure}
