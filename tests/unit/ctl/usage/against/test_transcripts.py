"""What Claude Code writes down about tokens, and what becomes of files that are not as they should be."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.ctl.usage.against.transcripts import Transcripts, directories, files_below, message_of, read
from claude_gatewayd.ledger.token_counts import TokenCounts

USAGE = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 120,
    "cache_read_input_tokens": 1000,
    "output_tokens": 21,
    "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
    "service_tier": "standard",
    "cache_creation": {"ephemeral_1h_input_tokens": 100, "ephemeral_5m_input_tokens": 20},
}


def line(message_id: str | None = "msg_1", session: str = "one", **changed: Any) -> dict[str, Any]:
    """Return a line as 2.1.332 writes it."""
    usage = changed.pop("usage", USAGE)
    model = changed.pop("model", "claude-opus-5")
    return {
        "parentUuid": "7",
        "isSidechain": False,
        "message": {"model": model, "id": message_id, "type": "message", "role": "assistant", "usage": usage,
                    "content": [{"type": "text", "text": 'a "usage":{'}], "stop_reason": "end_turn"},
        "requestId": "req_1",
        "type": "assistant",
        "uuid": "8",
        "timestamp": "2026-11-29T22:24:58.710Z",
        "cwd": "/home/ada/work",
        "sessionId": session,
        "version": "2.1.332",
        **changed,
    }  # fmt: skip


def written(file: Path, *lines: object, end: str = "\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines) + end)
    return file


def found_in(tmp_path: Path, *lines: object) -> Transcripts:
    return read([written(tmp_path / "one.jsonl", *lines)])


def test_a_line() -> None:
    message = message_of(json.dumps(line()).encode())
    assert message is not None
    assert message[:2] == ("msg_1", "one")
    assert message[3:] == ("claude-opus-5", "/home/ada/work", False, TokenCounts(3, 21, 1000, 20, 100, 0, "standard"))
    assert message.at == 1795991098.710


def test_a_message_has_a_line_for_each_of_its_blocks(tmp_path: Path) -> None:
    """Some versions wrote the first ones while the answer was still coming: the fullest usage is the whole answer's."""
    early = line(usage={**USAGE, "output_tokens": 1})
    late = line(timestamp="2026-11-29T22:25:58.710Z")
    found = found_in(tmp_path, early, late, early)
    assert [(m.counts.output, m.at) for m in found.messages.values()] == [(21, 1795991158.710)]


def test_a_session_that_was_resumed_has_the_lines_of_the_one_before(tmp_path: Path) -> None:
    written(tmp_path / "a.jsonl", line())
    written(tmp_path / "b.jsonl", line(session="two"), line("msg_2", "two"))
    found = read(files_below(tmp_path))
    assert [(m.message_id, m.session_id) for m in found.messages.values()] == [("msg_1", "one"), ("msg_2", "two")]


@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_replayed_beside_a_session_is_the_sessions(tmp_path: Path, is_first: bool) -> None:
    """ccusage found that: a question beside the session writes the messages before it once more, under other ids."""
    replay = line(isSidechain=True, requestId="req_2", usage={**USAGE, "output_tokens": 99})
    found = found_in(tmp_path, *((replay, line()) if is_first else (line(), replay)))
    assert [(m.counts.output, m.is_sidechain) for m in found.messages.values()] == [(21, False)]


def test_subagents_have_files_of_their_own(tmp_path: Path) -> None:
    written(tmp_path / "projects" / "-work" / "one.jsonl", line())
    written(tmp_path / "projects" / "-work" / "one" / "subagents" / "agent-1.jsonl", line("msg_2", isSidechain=True))
    written(tmp_path / "projects" / "-work" / "one" / "subagents" / "agent-1.meta.json", {})
    written(tmp_path / "history.jsonl", line("msg_3"))
    found = read(files_below(tmp_path))
    assert (found.files, sorted(found.messages)) == (2, ["msg_1", "msg_2"])
    assert sorted(read(files_below(tmp_path / "projects")).messages) == ["msg_1", "msg_2"]
    assert sorted(read(files_below(tmp_path / "projects" / "-work" / "one.jsonl")).messages) == ["msg_1"]


def test_older_clients_wrote_a_subagents_messages_as_progress(tmp_path: Path) -> None:
    inner = {"type": "assistant", "timestamp": "2026-11-29T22:24:58.710Z", "message": line()["message"]}
    outer = {"type": "progress", "sessionId": "one", "cwd": "/w", "data": {"type": "agent_progress", "message": inner}}
    found = found_in(tmp_path, outer)
    assert [(m.session_id, m.project, m.counts.output) for m in found.messages.values()] == [("one", "/w", 21)]


@pytest.mark.parametrize(
    "other",
    [
        line(isApiErrorMessage=True, model="<synthetic>"),
        line(model="<synthetic>"),
        line(usage=None),
        {"type": "user", "message": "usage", "toolUseResult": {"usage": USAGE}, "timestamp": "x"},
        {"type": "system", "message": ['"usage"'], "usage": 7},
        {"type": "progress", "data": {"type": "bash_progress", "usage": 1}},
        {"type": 7, "message": None, "usage": 1} | {"type": None},
        "",
        "{}",
    ],
)
def test_what_is_no_message_of_a_model(tmp_path: Path, other: object) -> None:
    found = found_in(tmp_path, other)
    assert (found.messages, found.nameless, found.unread) == ({}, [], [])


def test_a_message_without_an_id_is_counted_each_time(tmp_path: Path) -> None:
    assert len(found_in(tmp_path, line(None), line(None)).nameless) == 2


@pytest.mark.parametrize(
    "broken",
    [
        json.dumps(line())[:-40],
        json.dumps(line(timestamp="yesterday")),
        json.dumps(line(timestamp=7)),
        json.dumps(line(usage=[1])),
        '{"usage":' + "[" * 100_000,
        '\x00\x00"usage"',
    ],
    ids=["torn", "no time", "a number for a time", "no usage", "deep", "zeros"],
)
def test_a_line_that_is_broken_is_named_and_those_beside_it_count(tmp_path: Path, broken: str) -> None:
    found = found_in(tmp_path, line("msg_1"), broken, line("msg_2"))
    assert [Path(unread.where).name for unread in found.unread] == ["one.jsonl:2"]
    assert sorted(found.messages) == ["msg_1", "msg_2"]


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_that_is_too_long_is_named_and_not_held(tmp_path: Path, end: str) -> None:
    file = written(tmp_path / "one.jsonl", line("msg_1"), line("msg_2", cwd="x" * 20_000), line("msg_3"))
    written(tmp_path / "two.jsonl", line("msg_4", cwd="x" * 20_000), end=end)
    found = read([file, tmp_path / "two.jsonl"], longest=4096)
    assert [Path(unread.where).name for unread in found.unread] == ["one.jsonl:2", "two.jsonl:1"]
    assert sorted(found.messages) == ["msg_1", "msg_3"]


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert read([written(tmp_path / "one.jsonl", line(), end="")]).messages


def test_what_is_no_file_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c.jsonl").mkdir()
    written(tmp_path / "d.jsonl", line())
    found = read(files_below(tmp_path))
    assert [(Path(unread.where).name, unread.why) for unread in found.unread] == [
        ("a.jsonl", "it is no file"),
        ("b.jsonl", "No such file or directory"),
    ]
    assert len(found.messages) == 1


def test_old_files_are_not_opened(tmp_path: Path) -> None:
    os.utime(written(tmp_path / "a.jsonl", line("msg_1")), (1000, 1000))
    written(tmp_path / "b.jsonl", line("msg_2"))
    assert list(read(files_below(tmp_path), since=2000).messages) == ["msg_2"]


def test_a_place_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(files_below(tmp_path / "none"))


def test_a_directory_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    written(tmp_path / "mine" / "a.jsonl", line())
    failed: list[OSError] = []
    (tmp_path / "others").mkdir(mode=0)
    try:
        assert [file.name for file in files_below(tmp_path, failed.append)] == ["a.jsonl"]
    finally:
        (tmp_path / "others").chmod(0o700)
    assert [error.filename for error in failed] == ([] if os.geteuid() == 0 else [str(tmp_path / "others")])


def test_of_a_thousand_broken_lines_the_first_are_named(tmp_path: Path) -> None:
    found = found_in(tmp_path, *['{"usage":'] * 3000)
    assert (found.passed_over, len(found.unread)) == (3000, 1000)


def test_where_claude_code_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert directories({}) == []
    both = [tmp_path / ".config" / "claude", tmp_path / ".claude"]
    for directory in both:
        directory.mkdir(parents=True)
    assert directories({}) == directories({"CLAUDE_CONFIG_DIR": " "}) == both
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "link").symlink_to(other)
    named = f"{other}, ~/.claude,,{tmp_path}/none"
    assert directories({"CLAUDE_CONFIG_DIR": named}) == [other, both[1]]
    assert directories({"CLAUDE_CONFIG_DIR": f"{other},{tmp_path}/link"}) == [tmp_path / "link"]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "message", "data", "usage", "id", "model", "timestamp", "output_tokens"]), inner
        )
    ),
)


@given(st.dictionaries(st.sampled_from([*line(), "data", "isApiErrorMessage"]), ANY))
def test_whatever_a_line_is_it_is_read_or_refused(changed: dict[str, Any]) -> None:
    try:
        message = message_of(json.dumps({**line(), **changed}).encode())
    except ValueError:
        return
    assert message is None or min(message.counts[:5]) >= 0


@given(st.binary())
def test_whatever_the_bytes_are(data: bytes) -> None:
    try:
        message_of(data)
    except ValueError:
        pass
