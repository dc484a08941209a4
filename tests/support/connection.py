"""The connection of a client, for tests of what answers it without a socket."""

import asyncio

from claude_gatewayd.http1.flow import Bytes, Source


class FakeConnection:
    """A client's connection, as an exchange knows it, that keeps what is sent."""

    draining = False
    close_after = False

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.answer_source: Source | None = None
        self.write_paused = False
        self.unread = 0
        self.got = b""

    def unacknowledged(self) -> int:
        """Return what it is set to."""
        return self.unread

    @property
    def ends(self) -> tuple[object, object]:
        return None, None

    def send(self, data: Bytes) -> None:
        self.got += bytes(data)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def need_task(self) -> None: ...

    def exchange_finished(self) -> None: ...

    def reset(self) -> None: ...
