"""Exit a process that may have loaded LiteLLM, without the interpreter's own finalization.

Finalization collects objects of LiteLLM whose `__del__` imports a module. If a thread of LiteLLM was importing that
module when the interpreter stopped it, its lock is held for ever, and the process hangs.
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
    """Exit with the status that *main* returns, or as Python does if *main* raises."""
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
    """Exit with *status* within seconds, whatever its threads do.

    `atexit` handlers run for up to two seconds, because the user's callbacks for LiteLLM may flush their records there.
    """
    limit(_GONE_WITHIN)
    watch = threading.Timer(_EXIT_HANDLERS_WITHIN, os._exit, (status,))
    watch.daemon = True
    with contextlib.suppress(RuntimeError):  # no more threads can be started
        watch.start()
    try:
        atexit._run_exitfuncs()  # the log is flushed by one of them
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
    finally:
        os._exit(status)


def limit(seconds: float) -> None:
    """Have the kernel end this process after so many seconds (SIGALRM), even if the interpreter hangs by then."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.alarm(max(1, math.ceil(seconds)))
