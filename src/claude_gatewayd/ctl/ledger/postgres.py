"""Whether a PostgreSQL can hold the ledger: it answers, takes writes, and lets its user have a schema."""

from typing import NamedTuple

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import SCHEMA, Database
from claude_gatewayd.ledger.failures import as_administrator, failure_of

_TABLES = (
    "requests", "quarters", "key_quarters", "latencies", "keys", "key_secrets",
    "shared_cluster", "shared_gateways", "shared_facts",
)  # fmt: skip
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


class Rights(NamedTuple):
    """What a server says of a database and of what its user may do there. *closed_tables* may not be written."""

    user: str
    database: str
    is_read_only: bool
    may_create: bool
    has_schema: bool
    closed_tables: int
    may_use: bool


def find_trouble(database: Database, seconds: int = 3) -> GatewayError | None:
    """Connect, and return why the ledger cannot be there, None if it can. Changes nothing."""
    import psycopg  # here, for it takes 0.1 s, and most ledgers are a file

    try:
        with psycopg.connect(database.url, connect_timeout=seconds, application_name="claude-gatewayctl") as connection:
            row = connection.execute(_LOOK, {"schema": SCHEMA, "tables": list(_TABLES)}).fetchone()
    except (psycopg.Error, UnicodeError) as error:
        return failure_of("use", database, error).as_error()
    assert row is not None
    why, statement = judge(Rights(*row))
    if not why:
        return None
    return GatewayError(f"cannot use the ledger {database.shown}: {why}", as_administrator(database, statement))


def judge(rights: Rights) -> tuple[str, str]:
    """Return what is wrong, and the SQL with which an administrator mends it; "" if nothing is. Pure."""
    user, database = (f'"{name}"' for name in (rights.user, rights.database))
    if rights.is_read_only:
        why = "it is read-only: a standby, or default_transaction_read_only is on"
        return why, f"ALTER DATABASE {database} RESET default_transaction_read_only"
    if not rights.has_schema and not rights.may_create:
        return f"{rights.user} may not create the schema {SCHEMA}", f"GRANT CREATE ON DATABASE {database} TO {user}"
    if not rights.may_use:
        return f"{rights.user} may not use the schema {SCHEMA}", f"GRANT ALL ON SCHEMA {SCHEMA} TO {user}"
    if rights.closed_tables:
        why = f"{rights.user} may not read and write the tables in {SCHEMA}"
        return why, f"GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO {user}"
    return "", ""


def require_usable(database: Database) -> None:
    """Raise GatewayError where no ledger can be kept there."""
    if (found := find_trouble(database)) is not None:
        raise found
