"""How long to wait before another worker is started in place of one that has died."""

import asyncio
import time
from typing import Final

from claude_gatewayd.supervisor.workers.worker_process import WorkerProcess

_FIRST: Final = 0.2
_LONGEST: Final = 30.0
_STABLE_AFTER: Final = 30.0


class BackOff:
    """Waits that get longer, until a worker has served for a while."""

    def __init__(self) -> None:
        self._seconds = _FIRST

    async def wait(self) -> None:
        """Wait; twice as long the next time."""
        await asyncio.sleep(self._seconds)
        self._seconds = min(self._seconds * 2, _LONGEST)

    def note_end(self, worker: WorkerProcess) -> None:
        """Begin with the shortest wait again, if a worker that has died served for long."""
        if time.time() - (worker.serving_since or time.time()) > _STABLE_AFTER:
            self._seconds = _FIRST
