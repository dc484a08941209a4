"""The end of a process that may have loaded LiteLLM: it does not wait for the interpreter's own end.

There objects of LiteLLM's are collected whose `__del__` imports a module. If a thread of LiteLLM's was importing when
the interpreter cut it off, it holds the lock of that module for ever, and with it the process.
"""

import atexit
import contextlib
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

_EXIT_HANDLERS_WITHIN = 2.0
_GONE_WITHIN = 10.0


def run(main: Callable[[], int]) -> NoReturn:
    """End this process with what *main* returns, or as Python ends it when *main* raises."""
    status = 1
    try:
        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        leave(status)


def leave(status: int) -> NoReturn:
    """End this process with *status*, within seconds, whatever its threads hold.

    What is registered with `atexit` runs, for a person's callbacks send the last of their records there; only as long
    as it takes no more than two seconds.
    """
    limit(_GONE_WITHIN)
    watch = threading.Timer(_EXIT_HANDLERS_WITHIN, os._exit, (status,))
    watch.daemon = True
    with contextlib.suppress(RuntimeError):  # there can be no more threads
        watch.start()
    try:
        atexit._run_exitfuncs()  # the log is flushed by one of them
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
    finally:
        os._exit(status)


def limit(seconds: float) -> None:
    """Let the kernel end this process in so many seconds (SIGALRM), even if the interpreter hangs by then."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.alarm(max(1, math.ceil(seconds)))
