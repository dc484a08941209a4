"""system/threads.py: a thread's result and its failure, and an end that waits for nobody."""

import asyncio
import subprocess
import sys
import threading

import pytest

from claude_gatewayd.system.threads import in_thread

_HANGS = """
import asyncio, threading
from claude_gatewayd.system.threads import in_thread
begun = threading.Event()
def hang():
    begun.set()
    threading.Event().wait()
async def main():
    waiting = asyncio.ensure_future(in_thread(hang))
    while not begun.is_set():
        await asyncio.sleep(0)
    waiting.cancel()
asyncio.run(main())
"""


def test_the_result_and_the_failure_are_the_function_s() -> None:
    def fail() -> int:
        raise LookupError("nothing there")

    assert asyncio.run(in_thread(threading.get_ident)) != threading.get_ident()
    with pytest.raises(LookupError, match="nothing there"):
        asyncio.run(in_thread(fail))


def test_one_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", _HANGS], timeout=30).returncode == 0
