"""Which database is the ledger's. Without SQLAlchemy: the worker asks as well."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from claude_gatewayd import paths
from claude_gatewayd.config import locations
from claude_gatewayd.config.model import LedgerConfig
from claude_gatewayd.errors import GatewayError

SCHEMA = "claude_gateway"  # in PostgreSQL; SQLite has none
REVISION = "0004"  # of this version's tables, that of the newest migration: for those who do not load Alembic

# Prisma's own, as LiteLLM's DATABASE_URL has them: libpq refuses a URL with a parameter that it does not know.
# prisma.io/docs/orm/overview/databases/postgresql, "Arguments"
_OF_PRISMA = {
    "schema", "connection_limit", "pool_timeout", "socket_timeout", "pgbouncer", "statement_cache_size", "sslaccept",
    "sslidentity",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Database:
    """A SQLite *file*, or the *url* of a PostgreSQL as libpq reads it: `postgresql://…`; one of them."""

    file: Path | None = None
    url: str = field(default="", repr=False)  # may hold a password

    @property
    def shown(self) -> str:
        """What a person is shown: never a password."""
        if self.file is not None:
            return str(self.file)
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        return f"postgresql://{user.partition(':')[0]}{at}{host}{parts.path}"

    @property
    def is_postgres(self) -> bool:
        """Whether it is a PostgreSQL."""
        return self.file is None

    def without_password(self, text: str) -> str:
        """Return a text, such as a driver's error, without this database's password and its URL."""
        if self.file is not None:
            return text
        user = urlsplit(self.url).netloc.rpartition("@")[0]
        password = user.partition(":")[2]
        for secret in (self.url, password, unquote(password)):
            if secret:
                text = text.replace(secret, "***")
        return text

    @classmethod
    def of(cls, name: str) -> Self:
        """Return the database that a URL or a path names, such as the argument of `ledger move`; raise GatewayError."""
        if re.match(r"[a-z][a-z0-9+.-]*://", name, re.IGNORECASE):
            return cls(url=_for_libpq(locations.database_url(name)))
        return cls(file=Path(name))


def database_of(ledger: LedgerConfig, environ: Mapping[str, str]) -> Database:
    """Return the database of a configuration; raise GatewayError where DATABASE_URL is to name it and does not.

    A DATABASE_URL is another program's, and gets no tables, unless `use_database_url` is true.
    """
    if ledger.url:
        return Database.of(ledger.url)
    if not ledger.use_database_url:
        return Database(file=paths.ledger_file(environ))
    hint = "claude-gatewayctl config set ledger.use_database_url false"
    if not (url := environ.get("DATABASE_URL", "").strip()):
        raise GatewayError("cannot find the ledger: use_database_url is true, and DATABASE_URL is not set", hint)
    try:
        return Database(url=_for_libpq(locations.database_url(url)))
    except GatewayError as error:
        raise GatewayError(f"cannot find the ledger: DATABASE_URL {error.message}", error.hint or hint) from None


def _for_libpq(url: str) -> str:
    parts = urlsplit(url)
    # as it is otherwise: libpq does not take + for a space
    query = "&".join(one for one in parts.query.split("&") if one.partition("=")[0] not in _OF_PRISMA)
    return f"postgresql://{parts.netloc}{parts.path}{'?' * bool(query)}{query}"
