"""The terminal that a person may have started us from: a greeting on it, and what becomes of us when it is gone."""

import os
import stat
import sys

import claude_gatewayd


def is_there() -> bool:
    """Say whether there is a controlling terminal. After a hang-up it cannot be opened any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def leave() -> None:
    """Write to nowhere what would go to a terminal that is gone: it fails, at the end with exit status 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
            os.dup2(nowhere, stream.fileno())


def greet(url: str) -> None:
    """Say where we serve, and how Claude Code is told."""
    text = (
        f"claude-gatewayd {claude_gatewayd.__version__} serves on {url}. Point Claude Code at it:\n\n"
        f"    export ANTHROPIC_BASE_URL={url}\n"
        "    export NO_PROXY=127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}\n"
    )
    try:
        print(text, flush=True)
    except OSError:  # nobody reads it: no reason to end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
