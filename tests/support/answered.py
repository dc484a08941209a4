"""Usage records as the gateway makes them."""

from typing import Any

from claude_gatewayd.ledger.usage_record import UsageRecord


def record(**fields: Any) -> UsageRecord:
    """Return the record of a message that Opus 5.5 has answered, with other *fields*."""
    known: dict[str, Any] = {
        "id": "1", "started_at": 1_800_000_000.0, "gateway": "me@here", "kind": "messages", "status": 200,
        "upstream": "anthropic", "model_served": "claude-opus-5-5", "billing": "api", "input_tokens": 10,
        "output_tokens": 20, "cache_read_tokens": 30, "cache_write_5m_tokens": 40, "cache_write_1h_tokens": 50,
        "cost": 0.5, "first_event_ms": 700.0, "duration_ms": 2600.0, "request_bytes": 100, "answer_bytes": 200,
    }  # fmt: skip
    return UsageRecord(**known | fields)
