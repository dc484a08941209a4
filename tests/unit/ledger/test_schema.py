from sqlalchemy import Integer, SmallInteger

from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.usage_record import UsageRecord


def test_the_columns_are_the_fields_of_a_record() -> None:
    assert [column.name for column in schema.requests.columns] == list(UsageRecord.__struct_fields__)


def test_only_what_may_be_unknown_is_null() -> None:
    nullable = {column.name for table in schema.metadata.tables.values() for column in table.columns if column.nullable}
    assert nullable == {
        "cost", "first_event_ms", "revoked_at", "expires_at", "last_used_at",
        "bedrock", "monthly_budget", "requests_per_minute",
    }  # fmt: skip


def test_no_number_of_bytes_or_tokens_overflows() -> None:
    """A column of 32 bits would hold two gigabytes."""
    small = {
        column.name
        for table in schema.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, (Integer, SmallInteger)) and column.type.__class__.__name__ != "BigInteger"
    }
    assert small == {"status", "retries", "quarter", "bin", "requests_per_minute", "one"}
