"""Whether a PostgreSQL can hold the ledger: it answers, takes writes, and lets its user have a schema."""

from shlex import join
from typing import NamedTuple

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.printable import one_line

_SCHEMA = "claude_gateway"  # of ledger.schema, which would import SQLAlchemy; a test holds it
_TABLES = ("requests", "quarters", "latencies")
_LOOK = """
SELECT current_user, current_database(),
       pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on',
       has_database_privilege(current_database(), 'CREATE'),
       to_regnamespace(%(schema)s) IS NOT NULL,
       (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %(schema)s AND c.relname = ANY(%(tables)s)
           AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                    AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))),
       CASE WHEN to_regnamespace(%(schema)s) IS NULL THEN true
            ELSE has_schema_privilege(%(schema)s, 'USAGE') AND has_schema_privilege(%(schema)s, 'CREATE') END
"""


class Trouble(NamedTuple):
    """Why a PostgreSQL cannot hold the ledger, and the command that may help."""

    why: str
    hint: str


class Rights(NamedTuple):
    """What a server says of a database and of what its user may do there. *closed_tables* may not be written."""

    user: str
    database: str
    is_read_only: bool
    may_create: bool
    has_schema: bool
    closed_tables: int
    may_use: bool


def find_trouble(database: Database, seconds: int = 3) -> Trouble | None:
    """Connect, and return what is wrong, None if nothing is. Changes nothing."""
    import psycopg  # here, for it takes 0.1 s, and most ledgers are a file

    try:
        with psycopg.connect(database.url, connect_timeout=seconds, application_name="claude-gatewayctl") as connection:
            row = connection.execute(_LOOK, {"schema": _SCHEMA, "tables": list(_TABLES)}).fetchone()
    except (psycopg.Error, UnicodeError) as error:
        return Trouble(database.without_password(reason(error)), "pg_lsclusters; systemctl status postgresql")
    assert row is not None
    return judge(Rights(*row))


def judge(rights: Rights) -> Trouble | None:
    """Return what is wrong, and the command with which an administrator of the database mends it. Pure."""
    user, database = (f'"{name}"' for name in (rights.user, rights.database))

    def psql(statement: str) -> str:
        return join(["psql", "-d", rights.database, "-c", statement])

    if rights.is_read_only:
        why = "it is read-only: a standby, or default_transaction_read_only is on"
        return Trouble(why, psql(f"ALTER DATABASE {database} RESET default_transaction_read_only"))
    if not rights.has_schema and not rights.may_create:
        why = f"{rights.user} may not create the schema {_SCHEMA}"
        return Trouble(why, psql(f"GRANT CREATE ON DATABASE {database} TO {user}"))
    if not rights.may_use:
        return Trouble(
            f"{rights.user} may not use the schema {_SCHEMA}", psql(f"GRANT ALL ON SCHEMA {_SCHEMA} TO {user}")
        )
    if rights.closed_tables:
        grant = f"GRANT ALL ON ALL TABLES IN SCHEMA {_SCHEMA} TO {user}"
        return Trouble(f"{rights.user} may not read and write the tables in {_SCHEMA}", psql(grant))
    return None


def reason(error: Exception) -> str:
    """Return what a driver says, on one line: libpq repeats itself for each address of a server, and asks back."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = lines[-1] if "Multiple connection" in lines[0] else lines[0]
    return one_line(line.removeprefix("connection failed: ").removeprefix("- "))


def require_usable(database: Database) -> None:
    """Raise GatewayError where no ledger can be kept there."""
    if (found := find_trouble(database)) is not None:
        raise GatewayError(f"cannot keep the ledger in {database.shown}: {found.why}", found.hint)
