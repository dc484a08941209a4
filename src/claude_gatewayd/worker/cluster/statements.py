"""The SQL of what gateways share. All times are the database's: the clocks of two machines may differ by hours."""

from typing import Final

from claude_gatewayd.ledger.database import SCHEMA

_NOW: Final = "extract(epoch FROM clock_timestamp())::float8"
THERE_WITHIN: Final = 35.0  # seconds: a gateway lets the others know three times as often that it is there
_MEMBER_FOR: Final = 45 * 86400  # longer than a month, whose budget all have spent of
_MOST_FACTS: Final = 5000

REVISION: Final = f"SELECT version_num FROM {SCHEMA}.alembic_version"
# Who comes first says whose database it is.
CLAIM: Final = (
    f"INSERT INTO {SCHEMA}.shared_cluster (one, fingerprint, claimed_at) VALUES (1, $1, {_NOW}) "
    "ON CONFLICT (one) DO NOTHING"
)
OWNER: Final = f"SELECT fingerprint FROM {SCHEMA}.shared_cluster WHERE one = 1"
UNCLAIM: Final = f"DELETE FROM {SCHEMA}.shared_cluster"
# I am there, who else is, and whose is the database? There is a row without a name where nobody else is.
PRESENT: Final = (
    f"WITH mine AS (INSERT INTO {SCHEMA}.shared_gateways (daemon, name, seen_at) VALUES ($1, $2, {_NOW}) "
    "ON CONFLICT (daemon) DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at) "
    f"SELECT c.fingerprint, g.name FROM {SCHEMA}.shared_cluster c LEFT JOIN {SCHEMA}.shared_gateways g "
    f"ON g.daemon <> $1 AND g.seen_at > {_NOW} - {THERE_WITHIN} ORDER BY g.name LIMIT 1000"
)
PRUNE: Final = (
    f"WITH gone AS (DELETE FROM {SCHEMA}.shared_gateways WHERE seen_at < {_NOW} - {_MEMBER_FOR}) "
    f"DELETE FROM {SCHEMA}.shared_facts WHERE ends_at < {_NOW}"
)
# The oldest first, and if there are too many, the latest.
FACTS: Final = (
    f"SELECT fact, age FROM (SELECT fact, {_NOW} - noted_at AS age FROM {SCHEMA}.shared_facts "
    f"WHERE ends_at > {_NOW} ORDER BY noted_at DESC LIMIT {_MOST_FACTS}) AS latest ORDER BY age DESC"
)
# $1: what lasts, [{kind, digest, fact, seconds}]; $2: what is over, [{kind, digest}]; $3: the channel; $4: messages.
SEND: Final = (
    "WITH kept AS ("
    f"INSERT INTO {SCHEMA}.shared_facts (kind, digest, fact, noted_at, ends_at) "
    f"SELECT kind, digest, fact, {_NOW}, {_NOW} + seconds "
    "FROM json_to_recordset($1::json) AS new(kind text, digest text, fact text, seconds float8) "
    "ON CONFLICT (kind, digest) DO UPDATE SET fact = excluded.fact, noted_at = excluded.noted_at, "
    "ends_at = excluded.ends_at), "
    f"over AS (DELETE FROM {SCHEMA}.shared_facts AS old USING "
    "json_to_recordset($2::json) AS ended(kind text, digest text) "
    "WHERE old.kind = ended.kind AND old.digest = ended.digest) "
    "SELECT pg_notify($3, message) FROM json_array_elements_text($4::json) AS message"
)
NOTIFY: Final = "SELECT pg_notify($1, $2)"
LIMITS: Final = ("SET statement_timeout = '9s'", "SET lock_timeout = '5s'")


def listen_to(channel: str) -> str:
    """Return the statement that listens to a channel. It takes no parameters: the name is of letters and digits."""
    assert channel.isidentifier()
    return f"LISTEN {channel}"
