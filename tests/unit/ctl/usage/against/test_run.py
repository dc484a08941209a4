"""The ledger and the transcripts, as they are found on a machine."""

import json
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.ctl.usage.against.run import USUAL, ComparisonOptions, against
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.opening import open_for_writing
from claude_gatewayd.ledger.usage_record import UsageRecord

NOW = 1795991098.0
DAY = 86400.0
COLUMNS = UsageRecord.__struct_fields__


class Machine:
    """A ledger, and a person's `.claude`."""

    def __init__(self, home: Path) -> None:
        self.database = Database(file=home / "ledger.sqlite3")
        self.claude = home / ".claude"
        self._home = home

    def asks(self, message_id: str, at: float, *, tokens: int = 7, session: str = "one", gateway: str = "me") -> None:
        """Let a request be recorded."""
        assert self.database.file is not None
        is_new = not self.database.file.exists()
        sqlite3.connect(self.database.file).close()
        engine = open_for_writing(self.database)
        record = UsageRecord(
            id=f"{at:.0f}{message_id}", started_at=at, gateway=gateway, kind="messages", status=200, session_id=session,
            message_id=message_id, model_served="claude-opus-5", upstream="anthropic", output_tokens=tokens,
        )  # fmt: skip
        with engine.begin() as connection:
            if is_new:
                schema.metadata.create_all(connection)
            connection.execute(schema.requests.insert(), {name: getattr(record, name) for name in COLUMNS})
        engine.dispose()

    def writes(self, message_id: str, at: float, *, tokens: int = 7, session: str = "one") -> None:
        """Let Claude Code write an answer down."""
        file = self.claude / "projects" / "-home-me-work" / f"{session}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        message = {"id": message_id, "model": "claude-opus-5", "usage": {"output_tokens": tokens}}
        line = {
            "type": "assistant", "timestamp": datetime.fromtimestamp(at, UTC).isoformat(), "sessionId": session,
            "cwd": "/home/me/work", "message": message,
        }  # fmt: skip
        with file.open("a") as lines:
            lines.write(json.dumps(line) + "\n")

    def compared(self, capsys: pytest.CaptureFixture[str], **changed: Any) -> tuple[int, dict[str, Any]]:
        """Return the exit status of the verb, and its JSON."""
        asked = ComparisonOptions(str(self.claude), "day", "", "", True, NOW, UTC)._replace(**changed)
        code = against(asked, self.database, "me")
        return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of somebody called me."""
    return Machine(tmp_path)


def messages(side: dict[str, Any]) -> tuple[int, int]:
    return side["transcripts"]["messages"], side["ledger"]["messages"]


def test_the_same(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    for number, at in enumerate((NOW - 2 * DAY, NOW - DAY, NOW - DAY + 60)):
        machine.asks(f"msg_{number}", at)
        machine.writes(f"msg_{number}", at + 9)
    code, said = machine.compared(capsys)
    assert (code, said["differs"], said["files"]) == (0, False, 1)
    assert [(row["key"], *messages(row)) for row in said["rows"]] == [("2026-11-27", 1, 1), ("2026-11-28", 2, 2)]
    assert said["recorded_since"] == said["since"] == NOW - 2 * DAY
    assert said["database"] == str(machine.database.file)


@pytest.mark.parametrize(("tokens", "missing"), [(8, False), (7, True)])
def test_what_differs_is_an_exit_status(
    machine: Machine, capsys: pytest.CaptureFixture[str], tokens: int, missing: bool
) -> None:
    machine.asks("msg_1", NOW - DAY)
    machine.writes("msg_1", NOW - DAY, tokens=tokens)
    if missing:
        machine.writes("msg_2", NOW - DAY)
    code, said = machine.compared(capsys)
    assert (code, said["differing"], len(said["missing"])) == (1, tokens - 7, int(missing))


def test_what_was_before_the_ledger_is_compared_only_where_that_is_asked_for(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.writes("msg_0", NOW - 3 * DAY)
    machine.asks("msg_1", NOW - DAY)
    machine.writes("msg_1", NOW - DAY)
    assert messages(machine.compared(capsys)[1]["total"]) == (1, 1)
    code, said = machine.compared(capsys, since="7d")
    assert (code, messages(said["total"])) == (0, (2, 1))
    assert [one["reason"] for one in said["only_in_transcripts"]] == ["before the ledger"]
    assert messages(machine.compared(capsys, until="2026-11-27")[1]["total"]) == (0, 0)


def test_a_machine_without_a_ledger(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.writes("msg_0", NOW - DAY)
    code, said = machine.compared(capsys, since="7d")
    assert (code, messages(said["total"])) == (0, (1, 0))
    assert [one["reason"] for one in said["only_in_transcripts"]] == ["before the ledger"]


def test_other_gateways_of_the_database(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else's requests say nothing of these transcripts; a session of theirs may go through two gateways."""
    machine.asks("msg_1", NOW - DAY, gateway="me")
    machine.asks("msg_2", NOW - DAY, gateway="you", session="yours")
    machine.asks("msg_3", NOW - DAY, gateway="you")
    for number in (1, 3):
        machine.writes(f"msg_{number}", NOW - DAY)
    assert messages(machine.compared(capsys)[1]["total"]) == (2, 2)


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("hour", ["2026-11-28T22:00+00:00"]),
        ("model", ["claude-opus-5"]),
        ("upstream", ["", "anthropic"]),
        ("session", ["one"]),
        ("project", ["work"]),
    ],
)
def test_by(machine: Machine, capsys: pytest.CaptureFixture[str], by: str, keys: list[str]) -> None:
    machine.asks("msg_1", NOW - DAY)
    machine.writes("msg_1", NOW - DAY)
    machine.writes("msg_2", NOW - DAY + 1)
    assert [row["key"] for row in machine.compared(capsys, by=by)[1]["rows"]] == keys


def test_a_person_reads_it(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.asks("msg_1", NOW - DAY)
    machine.writes("msg_1", NOW - DAY)
    machine.compared(capsys)
    assert against(ComparisonOptions(str(machine.claude), "day", "", "", False, NOW, UTC), machine.database, None) == 0
    said = capsys.readouterr().out
    assert f"1 transcript beside {machine.database.file}" in said
    assert said.endswith("No difference in the tokens of 1 message that both have.\n")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"place": "/nowhere"}, "nowhere"),
        ({"place": USUAL}, r"transcript of Claude Code's in ~/\.claude or ~/\.config/claude"),
        ({"place": "{empty}"}, "transcript of Claude Code's in .*empty: no file there ends in .jsonl"),
        ({"by": "gateway"}, "cannot compare by gateway"),
        ({"since": "yore"}, 'cannot read --since "yore"'),
    ],
)
def test_what_cannot_be(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: dict[str, Any], error: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    machine.writes("msg_1", NOW)
    asked = ComparisonOptions(str(machine.claude), "day", "", "", True, NOW, UTC)._replace(**changed)
    asked = asked._replace(place=asked.place.format(empty=tmp_path / "empty"))
    with pytest.raises((GatewayError, FileNotFoundError), match=error):
        against(asked, machine.database, None)


def test_the_usual_place(machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    machine.writes("msg_1", NOW - 1)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", os.fspath(machine.claude))
    assert machine.compared(capsys, place=USUAL, since="today")[1]["files"] == 1
