"""What a person reads of the ledger beside the transcripts, and a program."""

import json
from datetime import datetime
from typing import Any

from claude_gatewayd.ctl.usage.against.compare import Comparison, Counts, LedgerRow, Scope, compare, counts_of
from claude_gatewayd.ctl.usage.against.report import Heading, document, text
from claude_gatewayd.ctl.usage.against.transcripts import Message, Transcripts
from claude_gatewayd.ledger.token_counts import TokenCounts

AT = 1795991098.0
TOKENS = TokenCounts(3, 2100, 1_000_000, 20, 100)
SCOPE = Scope(since=0.0, until=2 * AT, began=1000.0, now=2 * AT)
HEADING = Heading("Ever: 1 transcript", "day")


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"


def message(message_id: str, **changed: Any) -> Message:
    return Message(message_id, "one", AT, "claude-opus-5", "/work", False, TOKENS)._replace(**changed)


def row(message_id: str, **changed: Any) -> LedgerRow:
    return LedgerRow(message_id, "one", AT, "opus", "", "anthropic", False, counts_of(TOKENS))._replace(**changed)


def compared(found: Transcripts, *rows: LedgerRow) -> Comparison:
    return compare(found, rows, SCOPE, lambda at, _whose, _upstream: "2026-11-29" if at == AT else "")


def holding(*messages: Message) -> Transcripts:
    return Transcripts(files=1, messages={one.message_id: one for one in messages})


def lines(*found: str) -> str:
    return "\n".join(found)


def test_the_same_tokens() -> None:
    found = holding(message("msg_1"), message("msg_2", at=AT + 1))
    assert text(compared(found, row("msg_1"), row("msg_2", at=AT + 1)), found, HEADING, 100) == lines(
        "Ever: 1 transcript",
        "",
        "                                                              cache write  cache write",
        "day                      messages  input  output  cache read        5 min          1 h",
        "(no day)    transcripts         1      3   2,100   1,000,000           20          100",
        "            ledger              1      3   2,100   1,000,000           20          100",
        "2026-11-29  transcripts         1      3   2,100   1,000,000           20          100",
        "            ledger              1      3   2,100   1,000,000           20          100",
        "total       transcripts         2      6   4,200   2,000,000           40          200",
        "            ledger              2      6   4,200   2,000,000           40          200",
        "",
        "No difference in the tokens of 2 messages that both have.",
    )


def test_all_that_can_differ() -> None:
    found = holding(message("msg_1"), message("msg_2"), message("msg_3", session_id="elsewhere"))
    found.pass_over("/a\x1b.jsonl:7", "torn")
    rows = (row("msg_1", counts=Counts(1, 3, 2099, 1_000_000, 120, 0)), row("msg_9", is_aborted=True))
    shown = text(compared(found, *rows), found, HEADING, 70)
    assert shown.replace(clock(AT), "THEN") == lines(
        "Ever: 1 transcript",
        "",
        "day                      messages  input  output  cache read",
        "2026-11-29  transcripts         3      9   6,300   3,000,000",
        "            ledger              2      6   4,199   2,000,000",
        "            difference         -1     -3  -2,101  -1,000,000",
        "",
        "not shown, as the terminal is narrow: cache write 5 min, cache write 1 h",
        "",
        "Only in the transcripts:",
        "  1 message, 1,002,223 tokens: missing in the ledger, which has others of their sessions",
        "  1 message, 1,002,223 tokens: of sessions that the ledger does not know: without a gateway, or by another",
        "",
        "Only in the ledger:",
        "  1 message, 1,002,223 tokens: aborted: the client left before the end",
        "",
        "Different tokens:",
        "  msg_1 of session one at THEN, claude-opus-5: output 2,100 in the transcript, 2,099 in the ledger; "
        "cache write 5m 20 in the transcript, 120 in the ledger; cache write 1h 100 in the transcript, 0 in the ledger",
        "",
        "Missing in the ledger:",
        "  msg_2 of session one at THEN, claude-opus-5",
        "",
        "Passed over:",
        "  /a\\x1b.jsonl:7: torn",
        "",
        "1 message with different tokens, 1 missing in the ledger.",
        "  claude-gatewayctl ledger check",
    )


def test_a_list_is_not_endless() -> None:
    found = holding(message("msg_0"), *(message(f"msg_{n}") for n in range(1, 2000)))
    shown = text(compared(found, row("msg_0")), found, HEADING, 100)
    assert shown.count("of session one") == 10
    assert "… and 1,989 more; --json lists them" in shown
    assert "0 messages with different tokens, 1,999 missing" in shown


def test_nothing_to_compare() -> None:
    found = holding()
    assert text(compared(found), found, HEADING, 80) == lines(
        "Ever: 1 transcript", "", "The transcripts have no message of that time."
    )
    assert "Nothing is recorded yet" in text(compared(found), found, HEADING._replace(is_empty=True), 80)
    found = holding(message("msg_1", session_id="elsewhere"))
    assert text(compared(found), found, HEADING, 80).endswith("Both have no message in common.")


def test_json() -> None:
    found = holding(message("msg_1"), message("msg_2"))
    said = json.loads(document(compared(found, row("msg_1"), row("msg_3")), found, {"by": "day"}))
    counts = {"input": 3, "output": 2100, "cache_read": 1_000_000, "cache_write_5m": 20, "cache_write_1h": 100}
    tokens = {f"{name}_tokens": count for name, count in counts.items()}
    assert said["by"] == "day"
    assert said["differs"] is True
    assert said["total"]["ledger"] == {name: 2 * count for name, count in {"messages": 1, **tokens}.items()}
    assert said["rows"] == [{"key": "2026-11-29", **said["total"]}]
    assert said["only_in_ledger"] == [{"reason": "in the background", "messages": 1, **tokens}]
    assert said["only_in_transcripts"] == [{"reason": "missing", "messages": 1, **tokens}]
    assert [one["message_id"] for one in said["missing"]] == ["msg_2"]
    assert set(said["missing"][0]) == {"message_id", "session_id", "at", "model", "project"}
