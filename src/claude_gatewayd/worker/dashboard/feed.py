"""What the dashboard's process is sent: each request that has ended, in JSON lines over a pipe.

A request costs one call. What has gathered is sent on with the worker's beats, which come four times a second while
there is work: so this wakes nobody.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from claude_gatewayd.ipc.outbox import Outbox
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.sharing.facts import Fact, RowsEnded, RowsWanted

_LAST: Final = 200
_WANTED_FOR: Final = 60.0  # seconds, and asked for again at half of them
_MOST_A_BEAT: Final = 100  # are sent: nobody reads more, and what they cost has an end


class Feed:
    """Keep the last requests, and send them, and those that follow, to a process while there is one.

    What other workers have ended comes by facts, while somebody wants it: *publish* sends them ours.
    """

    def __init__(self, publish: Callable[[Fact], None] = lambda _: None) -> None:
        self._publish = publish
        self._new: deque[UsageRecord] = deque(maxlen=_LAST)  # not all of a beat: thousands are not in a cache any more
        self._ended = 0  # since the last beat
        self._last: deque[UsageRecord] = deque(maxlen=_LAST)
        self._pipe: _Pipe | None = None
        self._asking: asyncio.TimerHandle | None = None
        self._wanted_until = 0.0  # by another worker

    def record(self, record: UsageRecord) -> None:
        """Take note of a request that has ended."""
        self._ended += 1
        self._new.append(record)

    def send(self) -> None:
        """Send what has gathered."""
        if not self._new:
            return
        gathered = list(self._new)
        self._new.clear()
        self._last.extend(gathered)
        rows = gathered[-_MOST_A_BEAT:]
        missed, self._ended = self._ended - len(rows), 0
        if self._pipe is not None:
            self._pipe.send(rows, missed=missed)
        if time.monotonic() < self._wanted_until:
            self._publish(RowsEnded(msgspec.to_builtins(rows), missed))

    def take(self, others: RowsEnded) -> None:
        """Send on what another worker has ended."""
        if self._pipe is not None:
            self._pipe.send(others.records, missed=others.missed)

    def take_wish(self, wish: RowsWanted) -> None:
        """Send another worker what ends here, for a while."""
        self._wanted_until = time.monotonic() + min(wish.seconds, _WANTED_FOR)
        if wish.anew and self._last:
            self._publish(RowsEnded(msgspec.to_builtins(list(self._last)[-_MOST_A_BEAT:])))

    def attach(self, descriptor: int) -> None:
        """Send to a pipe from now on, the last requests first. It is closed by `detach`."""
        self.detach()
        self.send()  # into what is sent now
        self._pipe = _Pipe(descriptor)
        self._pipe.send(list(self._last))
        self._ask(anew=True)

    def detach(self) -> None:
        """Close the pipe: the process at its other end ends."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _ask(self, *, anew: bool = False) -> None:
        self._publish(RowsWanted(_WANTED_FOR, anew))
        self._asking = asyncio.get_running_loop().call_later(_WANTED_FOR / 2, self._ask)


class _Pipe:
    """Lines to the process. What it does not take in time is dropped, and counted."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._outbox = Outbox(descriptor)
        self._missed = 0

    def send(self, records: Sequence[UsageRecord | dict[str, Any]], *, missed: int = 0) -> None:
        if not records:
            return
        self._missed += missed
        line = msgspec.json.encode({"requests": records, "missed": self._missed}) + b"\n"
        self._missed = 0 if self._outbox.send(line) else self._missed + len(records)

    def close(self) -> None:
        self._outbox.close()
        os.close(self._descriptor)
