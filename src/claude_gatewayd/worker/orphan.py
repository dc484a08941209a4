"""End a worker whose event loop hangs and whose supervisor is gone: nobody else would, and it would keep the port."""

import faulthandler
import os
import signal
import threading

_LOOK_EVERY = 1.0
_HANGS_AFTER = 10  # looks; counted as the supervisor does, so that a suspended machine is not taken for a hang
_PRINTED_WITHIN = 2


def watch(knows: threading.Event) -> None:
    """Watch the parent process from a thread. *knows* is set when the event loop has noticed that it is gone."""
    threading.Thread(target=_watch, args=(os.getppid(), knows), name="orphan", daemon=True).start()


def _watch(parent: int, knows: threading.Event) -> None:
    while os.getppid() == parent:
        if knows.wait(_LOOK_EVERY):
            return
    for _ in range(_HANGS_AFTER):
        if knows.wait(_LOOK_EVERY):
            return
    signal.alarm(_PRINTED_WITHIN)  # stderr may be a pipe that nobody reads
    faulthandler.dump_traceback()
    os.kill(os.getpid(), signal.SIGKILL)
