"""`python -m claude_gatewayd.dashboard --listen-fd N --feed-fd M`: only a worker starts it."""

import asyncio
import logging
import mimetypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence

from claude_gatewayd.system.output import log, streams

_NAMES = ("--listen-fd", "--feed-fd")


def main(words: Sequence[str]) -> None:
    """Serve until the feed ends."""
    try:
        values = {name: int(words[words.index(name) + 1]) for name in _NAMES}
    except (ValueError, IndexError):
        raise SystemExit("claude_gatewayd.dashboard: only a worker starts it") from None
    streams.protect()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)  # requests come first
    mimetypes.init(())  # not by what this machine takes a .js file for
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTTOU, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # the feed says when it ends
    log.configure("info", "dashboard", os.environ)
    logging.getLogger("uvicorn.error").setLevel("WARNING")
    from claude_gatewayd.dashboard.server import serve

    runner = asyncio.Runner()  # never closed: closing waits for its threads
    runner.run(serve(socket.socket(fileno=values["--listen-fd"]), values["--feed-fd"]))
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
