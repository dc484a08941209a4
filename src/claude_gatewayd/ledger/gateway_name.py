"""The name of a gateway among those that share a database."""

import getpass
import os
import socket

from claude_gatewayd.config.model import Listen
from claude_gatewayd.ledger.database import Database

_LONGEST = 100
_USUAL_PORT = Listen().port


def gateway_name(port: int) -> str:
    """Return it: user@host, with the port that it listens on where that is not the usual one."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    beyond = "" if port == _USUAL_PORT else f":{port}"
    name = f"{user}@{socket.gethostname()}"[: _LONGEST - len(beyond)] + beyond
    return "".join(sign if sign.isprintable() else "?" for sign in name)


def own_gateway(database: Database, port: int) -> str | None:
    """Return whose rows of a database are this gateway's, None where all are.

    A file of SQLite is of one gateway, whatever the machine was called in the meantime.
    """
    return gateway_name(port) if database.is_postgres else None
