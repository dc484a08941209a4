"""Sleep while nobody uses the daemon, and wake as soon as somebody does."""

import asyncio
import socket

REST = 6.0  # seconds between two looks at what has no event: a sleep of the machine, files that were removed


class Rest:
    """Wait until the time is over, or something happens.

    A worker at rest sends no beats, so a hang of it shows when it is probed, or when it does not accept: the kernel
    tells us too when somebody connects, for the listening socket is ours.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._disturbed = asyncio.Event()

    def disturb(self) -> None:
        """End it."""
        self._disturbed.set()

    def close(self) -> None:
        """Leave the listening socket alone, before it is closed."""
        if (descriptor := self._listener.fileno()) >= 0:
            self._loop.remove_reader(descriptor)

    async def until_disturbed(self, seconds: float) -> bool:
        """Wait for *seconds* at most. Return whether something happened."""
        self._disturbed.clear()
        self._loop.add_reader(self._listener.fileno(), self.disturb)
        try:
            async with asyncio.timeout(seconds):
                await self._disturbed.wait()
        except TimeoutError:
            return False
        finally:
            self.close()
        return True
