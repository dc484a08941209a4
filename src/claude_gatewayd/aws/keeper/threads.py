"""Blocking work beside the loop, in a thread that the end of the process does not wait for."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Return what *function* returns. A wait that is cancelled leaves it to end by its own limits.

    Unlike `asyncio.to_thread`: a name look-up that hangs would hold the worker at its end.
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

    threading.Thread(target=work, name="aws", daemon=True).start()
    return await done
