"""The terminal that the daemon may have been started from: the greeting, and what to do when it is gone."""

import os
import stat
import sys

import claude_gatewayd


def is_there() -> bool:
    """Return whether there is a controlling terminal. After a hang-up it cannot be opened any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def leave() -> None:
    """Redirect output from a terminal that is gone to /dev/null: writes fail, and Python would exit with status 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
            os.dup2(nowhere, stream.fileno())


def greet(url: str) -> None:
    """Print where the daemon serves, and how to point Claude Code at it."""
    text = (
        f"claude-gatewayd {claude_gatewayd.__version__} serves on {url}. Point Claude Code at it:\n\n"
        f"    export ANTHROPIC_BASE_URL={url}\n"
        "    export NO_PROXY=127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}\n"
    )
    try:
        print(text, flush=True)
    except OSError:  # nobody reads it, which is no reason to exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
