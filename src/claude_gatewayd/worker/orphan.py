"""End a worker whose event loop hangs and whose supervisor is gone: nobody else would, and it would keep the port."""

import faulthandler
import os
import select
import signal
import threading

_LOOK_EVERY = 1.0
_HANGS_AFTER = 10  # looks; counted as the supervisor does, so that a suspended machine is not taken for a hang
_PRINTED_WITHIN = 2
_GONE_ANYWAY = 60.0  # seconds: something may hold the supervisor's end of the channel open after it


def watch(channel: int, knows: threading.Event) -> None:
    """Watch the supervisor from a thread. *channel* hangs up when it ends.

    *knows* is set when the event loop has noticed that.
    """
    threading.Thread(target=_watch, args=(channel, os.getppid(), knows), name="orphan", daemon=True).start()


def _watch(channel: int, parent: int, knows: threading.Event) -> None:
    hangup = select.poll()
    hangup.register(channel, 0)  # it always reports a hang-up, and nothing else is asked for
    while os.getppid() == parent and not knows.is_set():
        if hangup.poll(_GONE_ANYWAY * 1000):
            break
    for _ in range(_HANGS_AFTER):
        if knows.wait(_LOOK_EVERY):
            return
    signal.alarm(_PRINTED_WITHIN)  # stderr may be a pipe that nobody reads
    faulthandler.dump_traceback()
    os.kill(os.getpid(), signal.SIGKILL)
