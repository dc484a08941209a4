"""The ledger's tables, for SQLite and PostgreSQL. The migrations create them; a test holds both against each other.

Imported by what reports and maintains. The worker's writer does not import it: SQLAlchemy takes 18 MB, and 0.2 s in
which no request is served.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, SmallInteger, Table, Text

from claude_gatewayd.ledger.database import SCHEMA as SCHEMA  # the tables' on PostgreSQL

metadata = MetaData()


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=False, primary_key=key)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _sums() -> list[Column[Any]]:
    """Return the columns that are sums: of requests, tokens and cost."""
    return [
        _count("requests"),
        _count("failures"),  # status 400 and above, without those that were aborted
        _count("aborted"),
        _count("unpriced"),  # requests whose cost is not known
        _count("input_tokens"),
        _count("output_tokens"),
        _count("cache_read_tokens"),
        _count("cache_write_5m_tokens"),
        _count("cache_write_1h_tokens"),
        Column("cost", Double, nullable=False),
    ]


requests = Table(
    "requests",
    metadata,
    _text("id", key=True),
    Column("started_at", Double, nullable=False),
    _text("gateway"),
    _text("kind"),
    Column("status", SmallInteger, nullable=False),
    _text("session_id"),
    _text("agent_id"),
    _text("message_id"),  # the answer's
    _text("project"),
    _text("client"),
    _text("client_version"),
    _text("model_asked"),
    _text("model_served"),
    _text("lane"),
    _text("upstream"),
    _text("transport"),
    _text("fallback"),
    _text("billing"),
    _count("input_tokens"),
    _count("output_tokens"),
    _count("cache_read_tokens"),
    _count("cache_write_5m_tokens"),
    _count("cache_write_1h_tokens"),
    Column("cost", Double),
    Column("first_event_ms", Double),
    Column("duration_ms", Double, nullable=False),
    _count("request_bytes"),
    _count("answer_bytes"),
    Column("retries", Integer, nullable=False),
    Column("is_stream", Boolean, nullable=False),
    Column("is_aborted", Boolean, nullable=False),
    Column("key_name", Text, nullable=False, server_default=""),  # older versions write none
    Column("address", Text, nullable=False, server_default=""),
)
Index("requests_started_at", requests.c.started_at)

# Sums by quarter of an hour: every time zone's days begin with one. They make a report of a million requests fast, and
# are written in the transaction of their requests. Requests that use no tokens are not in them.
quarters = Table(
    "quarters",
    metadata,
    Column("quarter", Integer, primary_key=True, autoincrement=False),  # started_at // 900
    _text("gateway", key=True),
    _text("upstream", key=True),
    _text("transport", key=True),
    _text("model", key=True),  # served, or asked where nobody served
    _text("project", key=True),
    _text("billing", key=True),
    _text("fallback", key=True),
    *_sums(),
)

# The same of those requests alone whose caller has sent a named key, by its name: elsewhere there are none, and a team
# may have thousands. In a table of its own, as generations that know no keys write `quarters`, too.
key_quarters = Table(
    "key_quarters",
    metadata,
    Column("quarter", Integer, primary_key=True, autoincrement=False),
    _text("key_name", key=True),
    _text("gateway", key=True),
    _text("upstream", key=True),
    _text("transport", key=True),
    _text("model", key=True),
    _text("project", key=True),
    _text("billing", key=True),
    _text("fallback", key=True),
    *_sums(),
)

# How many requests took how long, in the bins of `latency`, by hour.
latencies = Table(
    "latencies",
    metadata,
    Column("quarter", Integer, primary_key=True, autoincrement=False),  # the first one of an hour
    _text("gateway", key=True),
    _text("upstream", key=True),
    _text("measure", key=True),  # "first_event" or "duration"
    Column("bin", SmallInteger, primary_key=True, autoincrement=False),
    _count("requests"),
)

# Who may call a gateway for a team, by name. What is NULL is as `[keys]` has it. Times are by the database's clock.
keys = Table(
    "keys",
    metadata,
    _text("name", key=True),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("bedrock", Boolean),
    Column("monthly_budget", Double),
    Column("requests_per_minute", Integer),
)

# The keys themselves, as SHA-256 in hexadecimal: after `rotate` a name may have two for a while.
key_secrets = Table(
    "key_secrets",
    metadata,
    _text("digest", key=True),
    _text("name"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
)

# What gateways share (`worker/cluster/`). Times are the database's own, in seconds since the epoch.
shared_cluster = Table(
    "shared_cluster",
    metadata,
    Column("one", SmallInteger, primary_key=True, autoincrement=False),  # always 1: a database has one cluster
    _text("fingerprint"),  # of the shared secret
    Column("claimed_at", Double, nullable=False),
)
shared_gateways = Table(
    "shared_gateways",
    metadata,
    _text("daemon", key=True),
    _text("name"),  # as in `requests.gateway`
    Column("seen_at", Double, nullable=False),
)
shared_facts = Table(
    "shared_facts",
    metadata,
    _text("kind", key=True),
    _text("digest", key=True),  # of what the fact is about
    _text("fact"),  # JSON
    Column("noted_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
)
