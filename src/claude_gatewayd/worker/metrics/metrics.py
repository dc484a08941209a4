"""The numbers of a generation: counted here, and written when somebody asks for them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.system import installation
from claude_gatewayd.worker.metrics import numbers
from claude_gatewayd.worker.metrics.counts import RequestCounts
from claude_gatewayd.worker.metrics.gathering import Gathering
from claude_gatewayd.worker.metrics.loop_lag import LoopLag
from claude_gatewayd.worker.metrics.model_labels import ModelLabels
from claude_gatewayd.worker.metrics.negotiation import format_for
from claude_gatewayd.worker.metrics.numbers import Numbers

PATH: Final = b"/metrics"
_CODE: Final = installation.own_fingerprint()


class Page(NamedTuple):
    """An answer to a scrape."""

    content_type: str
    body: bytes


class Metrics:
    """Counters, and the text that they make, with those of the other workers of the generation."""

    def __init__(self, labels: ModelLabels, others: Gathering) -> None:
        self._counts = RequestCounts(labels.of)
        self._others = others
        self._generation = 0
        self._status: Callable[[], Mapping[str, Any]] | None = None
        self._writing = asyncio.Lock()
        self._exposition: Any = None  # the module
        self.lag = LoopLag()

    def describe_by(self, status: Callable[[], Mapping[str, Any]], generation: int) -> None:
        """Take what `status` shows of this generation by calling *status*."""
        self._status, self._generation = status, generation
        self._others.describe_by(self._own, generation)

    def note(self, record: UsageRecord) -> None:
        """Count a request that ended. On the path of every request."""
        self._counts.note(record)

    async def page(self, accept: str) -> Page:
        """Return all metrics in the format that an Accept header prefers. The event loop goes on meanwhile.

        Raises GatewayError if they cannot be written.
        """
        wanted = format_for(accept)
        async with self._writing:  # one at a time: each takes a core
            if self._exposition is None:
                self._exposition = await asyncio.to_thread(_load)
            pieces = []
            others = await self._others.ask(self._own())
            texts = self._exposition.text(
                numbers.together(self._own(), others.answered, others.gone),
                self._generation,
                time.time(),
                workers=1 + len(others.answered),
                missing=others.missing,
                is_openmetrics=wanted.is_openmetrics,
            )
            for piece in texts:
                pieces.append(piece)
                await asyncio.sleep(0)
        return Page(wanted.content_type, b"".join(pieces))

    def _own(self) -> Numbers:
        assert self._status is not None
        status = numbers.essence(self._status())  # first: it has all that has ended counted
        return Numbers(self._counts.by_key, self.lag, status)


def _load() -> Any:
    """Import what only a scrape needs. Raises GatewayError if that may not fit the code that runs here."""
    if installation.fingerprint() != _CODE:
        why = "the installation has changed since this generation started"
        raise GatewayError(f"cannot show metrics: {why}", "claude-gatewayctl reload")
    from claude_gatewayd.worker.metrics import exposition

    return exposition
