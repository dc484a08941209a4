"""Facts as JSON, between workers of different versions: an unknown kind is ignored, and fields are only added."""

from typing import Any, Final

import msgspec

from claude_gatewayd.worker.sharing.facts import (
    CircuitChanged,
    CredentialAccepted,
    Fact,
    FactsWanted,
    KeyRequests,
    KeysChanged,
    KeySpent,
    LinkIssued,
    LinkUsed,
    MetricsCounted,
    MetricsWanted,
    RefusalLearned,
    RefusalsForgotten,
    RowsEnded,
    RowsWanted,
    ServedBy,
    UsageShared,
    UsageWanted,
)

_KINDS: Final[dict[str, type[Fact]]] = {
    "credential-accepted": CredentialAccepted,
    "circuit-changed": CircuitChanged,
    "facts-wanted": FactsWanted,
    "link-issued": LinkIssued,
    "link-used": LinkUsed,
    "rows-wanted": RowsWanted,
    "rows-ended": RowsEnded,
    "metrics-wanted": MetricsWanted,
    "metrics-counted": MetricsCounted,
    "usage-shared": UsageShared,
    "usage-wanted": UsageWanted,
    "served-by": ServedBy,
    "refusal-learned": RefusalLearned,
    "refusals-forgotten": RefusalsForgotten,
    "keys-changed": KeysChanged,
    "key-requests": KeyRequests,
    "key-spent": KeySpent,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


def as_message(fact: Fact) -> dict[str, Any]:
    """Return a fact as an object of JSON."""
    return {"kind": _NAMES[type(fact)], **fact._asdict()}


def from_message(message: object) -> Fact | None:
    """Return the fact of a message; None for one of another version's, or of nobody's."""
    if not isinstance(message, dict) or not isinstance(name := message.get("kind"), str):
        return None
    if (kind := _KINDS.get(name)) is None:
        return None
    fields = {field: message[field] for field in kind._fields if field in message}
    try:
        return msgspec.convert([*kind(**fields)], kind)
    except (TypeError, msgspec.ValidationError):  # one is missing, or of another type
        return None
