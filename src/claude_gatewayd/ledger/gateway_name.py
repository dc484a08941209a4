"""The name of a gateway among those that share a database."""

import getpass
import os
import socket

_LONGEST = 100


def gateway_name() -> str:
    """Return it: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    name = f"{user}@{socket.gethostname()}"[:_LONGEST]
    return "".join(sign if sign.isprintable() else "?" for sign in name)
