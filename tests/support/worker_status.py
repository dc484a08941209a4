"""What a worker knows of itself, as worker/status.py has it: as much as metrics need."""

from typing import Any

NOW = 1_800_000_000.0
STATUS: dict[str, Any] = {
    "streams": 2,
    "under_way": 3,
    "connections": 4,
    "circuits": [{}],
    "anthropic": {"state": "ok"},
    "bedrock": {"last_success": None, "last_failure": 4.0},
    "credentials": {"keys_end": NOW + 600, "token_ends": NOW - 1, "works_until": None},
    "ledger": {"waiting": 5, "spilled": 6, "dropped": 7, "written": 8},
    "shared": {"state": "connected", "others": ["me@there", "me@elsewhere"]},
    "litellm": {"state": "ready", "version": "1.106.2"},
    "memory": 12345678,
    "config_loaded_at": 1.5,
    "version": "0.1.0",
}
