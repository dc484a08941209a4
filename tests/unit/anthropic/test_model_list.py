"""Anthropic's list of models, and its pages."""

import json
from typing import Any

import pytest

from claude_gatewayd.anthropic.model_list import (
    ModelEntry,
    NotAPage,
    PageQuery,
    display_name,
    model_of,
    page,
    read_query,
)

ENTRIES = [ModelEntry(f"claude-{letter}", letter.upper()) for letter in "abcdef"]


@pytest.mark.parametrize(
    ("query", "shown", "has_more"),
    [
        (PageQuery(), "abcdef", False),
        (PageQuery(2), "ab", True),
        (PageQuery(6), "abcdef", False),
        (PageQuery(2, after="claude-b"), "cd", True),
        (PageQuery(2, after="claude-d"), "ef", False),
        (PageQuery(2, after="claude-f"), "", False),
        (PageQuery(2, before="claude-d"), "bc", True),
        (PageQuery(2, before="claude-c"), "ab", False),
        (PageQuery(9, before="claude-a"), "", False),
    ],
)
def test_pages(query: PageQuery, shown: str, *, has_more: bool) -> None:
    document: dict[str, Any] = json.loads(page(ENTRIES, query))
    assert [entry["id"] for entry in document["data"]] == [f"claude-{letter}" for letter in shown]
    assert document["has_more"] is has_more
    ends = (f"claude-{shown[0]}", f"claude-{shown[-1]}") if shown else (None, None)
    assert (document["first_id"], document["last_id"]) == ends


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (b"", PageQuery()),
        (b"limit=1000", PageQuery(1000)),
        (b"limit=5&after_id=claude-x", PageQuery(5, "claude-x")),
        (b"beta=true&before_id=claude%2Dx", PageQuery(20, "", "claude-x")),
    ],
)
def test_queries(query: bytes, wanted: PageQuery) -> None:
    assert read_query(query) == wanted


@pytest.mark.parametrize(
    "query", [b"limit=0", b"limit=1001", b"limit=-1", b"limit=x", "limit=\u0663".encode(), b"limit=" + b"9" * 99,
              b"after_id=a&before_id=b"],
)  # fmt: skip
def test_what_is_no_query(query: bytes) -> None:
    with pytest.raises(NotAPage):
        read_query(query)


def test_a_place_that_is_not_in_the_list() -> None:
    with pytest.raises(NotAPage, match="after_id"):
        page(ENTRIES, PageQuery(after="claude-x"))


@pytest.mark.parametrize(
    ("model", "name", "created"),
    [
        ("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-01T00:00:00Z"),
        ("claude-opus-5-5", "Claude Opus 5.5", "1970-01-01T00:00:00Z"),
        ("claude-3-5-sonnet-20241022", "Claude 3.5 Sonnet", "2024-10-22T00:00:00Z"),
        ("claude-opus", "Claude Opus", "1970-01-01T00:00:00Z"),
        ("claude--x", "Claude  X", "1970-01-01T00:00:00Z"),
    ],
)
def test_names_and_dates(model: str, name: str, created: str) -> None:
    assert display_name(model) == name
    assert ModelEntry(model, name).as_dict() == {
        "type": "model", "id": model, "display_name": name, "created_at": created,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (b"/v1/models", ""),
        (b"/v1/models/claude-x", "claude-x"),
        (b"/v1/models/claude%2Dx", "claude-x"),
        (b"/v1/models/", None),
        (b"/v1/models/a/b", None),
        (b"/v1/modelsx", None),
    ],
)
def test_paths(path: bytes, model: str | None) -> None:
    assert model_of(path) == model
