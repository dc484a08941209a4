"""Whether the usage ledger is kept in a PostgreSQL that is there already: asked once, and never assumed.

A DATABASE_URL is often another program's, which would not expect tables of ours.
"""

import os
from collections.abc import Mapping

from claude_gatewayd.config.file import read_document
from claude_gatewayd.ctl.ledger import postgres
from claude_gatewayd.ctl.migrate.known_keys import LEDGER_BY_VARIABLE, LEDGER_URL, POSTGRES
from claude_gatewayd.ctl.terminal import prompts
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.service.environment import DATABASE_URL


def is_answered(environ: Mapping[str, str]) -> bool:
    """Return whether config.toml, or a variable that overrides it, says where the ledger is. Raises ConfigInvalid."""
    keys = LEDGER_URL, LEDGER_BY_VARIABLE
    table = read_document(environ).tables.get("ledger")
    written = isinstance(table, dict) and any(name in table for _, name in keys)
    return written or any(environ.get(f"CLAUDE_GATEWAY_LEDGER_{name.upper()}") for _, name in keys)


def ask(url: str) -> bool | None:
    """Ask at the terminal; None where the answer was yes, and it cannot be used at present."""
    print(f"There is a PostgreSQL: {described(url)}")
    if not prompts.agree("Keep the gateway's usage ledger there, in a schema of its own?", default=False):
        return False
    try:
        require_usable(url)
    except GatewayError as error:
        print(f"  {error.message}; the ledger is a file for now. Later:")
        print("  claude-gatewayctl ledger move URL")
        return None
    return True


def require_usable(url: str) -> None:
    """Raise GatewayError where no ledger can be kept at *url*, "" where there is none."""
    if not url:
        raise GatewayError(
            "cannot keep the ledger in PostgreSQL: no DATABASE_URL names one", "claude-gatewayctl ledger move URL"
        )
    postgres.require_usable(Database.of(url))


def described(url: str) -> str:
    """Return a URL as a person may see it."""
    try:
        return Database.of(url).shown
    except GatewayError:
        return "one that DATABASE_URL names"


def of_shell(environ: Mapping[str, str] = os.environ) -> str:
    """Return the PostgreSQL that DATABASE_URL names, "" where it names none."""
    url = environ.get(DATABASE_URL, "")
    return url if url.startswith(POSTGRES) else ""
