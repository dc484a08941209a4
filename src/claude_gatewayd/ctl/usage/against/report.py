"""What `usage --against` prints: both sides, and what differs. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from claude_gatewayd.ctl.usage.against.compare import Comparison, Counts, Difference, Sides, Unrecorded, Unwritten
from claude_gatewayd.ctl.usage.against.transcripts import Message, Transcripts
from claude_gatewayd.ctl.usage.figures import counted, whole
from claude_gatewayd.ctl.usage.table import Column, drawn
from claude_gatewayd.printable import one_line

_LISTED: Final = 10
_HEADINGS: Final = ("messages", "input", "output", "cache read", "cache write\n5 min", "cache write\n1 h")

WHY: Final[Mapping[Unrecorded | Unwritten, str]] = {
    "before the ledger": "from before the ledger began",
    "not through the gateway": "of sessions that the ledger does not know: without a gateway, or by another",
    "without an id": "without an id, by which the ledger would know them",
    "under way": "of the last two minutes: not recorded yet",
    "missing": "missing in the ledger, which has others of their sessions",
    "aborted": "aborted: the client left before the end",
    "in the background": "not written down by Claude Code: titles, summaries, tries that broke off",
    "of other sessions": "of sessions without a transcript here: on another machine, or deleted since",
    "of other programs": "of other programs: without a session of Claude Code's",
    "recorded twice": "recorded twice: by two gateways, one behind the other",
}


class Heading(NamedTuple):
    """What heads the report, what its lines are by, "day" or "model", and whether nothing is in the ledger at all."""

    head: str
    by: str
    is_empty: bool = False


def text(comparison: Comparison, found: Transcripts, heading: Heading, width: int, *, in_colour: bool = False) -> str:
    """Return the report for a terminal of that width."""
    parts = [one_line(heading.head)]
    if comparison.by_key:
        parts += ["", *_table(comparison, heading, width, in_colour=in_colour)]
    for where, reasons in (("transcripts", comparison.unrecorded), ("ledger", comparison.unwritten)):
        if reasons:
            parts += ["", f"Only in the {where}:"]
            parts += [_reason(counts.counts, WHY[why]) for why, counts in _heaviest(reasons)]
    if comparison.differing:
        parts += ["", "Different tokens:"]
        parts += _some([_difference(one) for one in comparison.differences], comparison.differing)
    if comparison.missing:
        parts += ["", "Missing in the ledger:"]
        parts += _some([_named(one) for one in comparison.missing], _missing(comparison))
    if found.unread:
        parts += ["", "Passed over:"]
        parts += _some([f"{one_line(where)}: {one_line(why)}" for where, why in found.unread], found.passed_over)
    return "\n".join([*parts, "", _verdict(comparison, heading)])


def document(comparison: Comparison, found: Transcripts, about: Mapping[str, Any]) -> str:
    """Return the report as JSON; *about* says what was compared. Fields are only ever added."""
    return json.dumps(
        {
            **about,
            "files": found.files,
            "differs": comparison.differs,
            "rows": [{"key": key, **_sides(sides)} for key, sides in sorted(comparison.by_key.items())],
            "total": _sides(comparison.total),
            "only_in_transcripts": _reasons(comparison.unrecorded),
            "only_in_ledger": _reasons(comparison.unwritten),
            "differing": comparison.differing,
            "differences": [
                {
                    **_identity(one.message),
                    "transcripts": _fields(one.transcripts),
                    "ledger": _fields(one.ledger),
                }
                for one in comparison.differences
            ],
            "missing": [_identity(one) for one in comparison.missing],
            "passed_over": found.passed_over,
            "unread": [{"where": where, "why": why} for where, why in found.unread],
        },
        indent=2,
    )


def _table(comparison: Comparison, heading: Heading, width: int, *, in_colour: bool) -> list[str]:
    lines: list[tuple[str, str, Sequence[str]]] = []
    keys = sorted(comparison.by_key.items())
    for key, sides in [*keys, *([("", comparison.total)] if len(keys) > 1 else [])]:
        name = key or f"(no {heading.by})" if sides is not comparison.total else "total"
        lines.append((name, "transcripts", list(map(whole, sides.transcripts.counts))))
        lines.append(("", "ledger", list(map(whole, sides.ledger.counts))))
        if any(sides.difference):
            lines.append(("", "difference", [f"{number:+,}" if number else "" for number in sides.difference]))
    names, sources, numbers = zip(*lines, strict=True)
    columns = [Column(heading.by, names, is_number=False), Column("", sources, is_number=False)]
    ranks = range(-3, 3)  # what a narrow terminal has no room for: first what was written for an hour
    columns += [
        Column(title, cells, max(0, rank))
        for title, cells, rank in zip(_HEADINGS, zip(*numbers, strict=True), ranks, strict=True)
    ]
    table, left_out = drawn(columns, width, in_colour=in_colour)
    return [table, *(["", f"not shown, as the terminal is narrow: {', '.join(left_out)}"] if left_out else [])]


def _verdict(comparison: Comparison, heading: Heading) -> str:
    if heading.is_empty:
        return (
            "Nothing is recorded yet in the ledger. To see whether requests come here:\n  claude-gatewayctl status\n"
            "What the transcripts have without it:\n  claude-gatewayctl usage --against --since 30d"
        )
    compared = comparison.total.transcripts.counts.messages
    if not compared:
        return "The transcripts have no message of that time."
    if comparison.differs:
        missing = _missing(comparison)
        hint = "\n  claude-gatewayctl ledger check" if missing else ""
        return f"{_messages(comparison.differing)} with different tokens, {whole(missing)} missing in the ledger.{hint}"
    both = compared - sum(counts.counts.messages for counts in comparison.unrecorded.values())
    return (
        f"No difference in the tokens of {_messages(both)} that both have."
        if both
        else "Both have no message in common."
    )


def _missing(comparison: Comparison) -> int:
    return comparison.unrecorded["missing"].counts.messages if comparison.missing else 0


def _messages(number: int) -> str:
    return counted(number, "message")


def _reason(counts: Counts, why: str) -> str:
    return f"  {_messages(counts.messages)}, {whole(sum(counts[1:]))} tokens: {why}"


def _some(lines: Sequence[str], total: int) -> list[str]:
    more = [f"… and {whole(total - _LISTED)} more; --json lists them"] if total > _LISTED else []
    return [f"  {line}" for line in [*lines[:_LISTED], *more]]


def _named(message: Message) -> str:
    at = f"{datetime.fromtimestamp(message.at).astimezone():%Y-%m-%d %H:%M:%S}"
    return one_line(f"{message.message_id} of session {message.session_id or '?'} at {at}, {message.model}")


def _difference(one: Difference) -> str:
    differing = [
        f"{name.replace('_', ' ')} {whole(theirs)} in the transcript, {whole(ours)} in the ledger"
        for name, theirs, ours in zip(Counts._fields, one.transcripts, one.ledger, strict=True)
        if theirs != ours
    ]
    return f"{_named(one.message)}: {'; '.join(differing)}"


def _heaviest(reasons: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return sorted(reasons.items(), key=lambda pair: -sum(pair[1].counts[1:]))


def _reasons(reasons: Mapping[Any, Any]) -> list[dict[str, Any]]:
    return [{"reason": why, **_fields(counts.counts)} for why, counts in _heaviest(reasons)]


def _sides(sides: Sides) -> dict[str, Any]:
    return {
        "transcripts": _fields(sides.transcripts.counts),
        "ledger": _fields(sides.ledger.counts),
        "difference": _fields(sides.difference),
    }


def _fields(counts: Counts) -> dict[str, int]:
    """Return counts by the names that the ledger's columns have."""
    return {name if name == "messages" else f"{name}_tokens": number for name, number in counts._asdict().items()}


def _identity(message: Message) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "session_id": message.session_id,
        "at": message.at,
        "model": message.model,
        "project": message.project,
    }
