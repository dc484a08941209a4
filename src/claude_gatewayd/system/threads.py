"""Blocking work beside the loop, in a thread that does not hold up the end of the process."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Run *function* in a thread and return its result. If the wait is cancelled, the thread ends by its own limits.

    Not `asyncio.to_thread`: its threads are joined at exit, and a name lookup that hangs would hold the process up.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # a T where there is no error

    def work() -> None:
        result, failed = None, None
        try:
            result = function()
        except BaseException as error:
            failed = error
        try:
            loop.call_soon_threadsafe(settle, result, failed)
        except RuntimeError:
            pass  # the loop has ended

    threading.Thread(target=work, name="aside", daemon=True).start()
    return await done
