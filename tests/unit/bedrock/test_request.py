"""What of a request reaches Bedrock: turns in the shapes of Claude Code's, row by row, and then anything at all."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.bedrock.features import (
    ASKED_BETAS,
    BETAS,
    CHANGED,
    COMPUTER_USE,
    COMPUTER_USE_OLD,
    LEFT_OUT,
    SENT,
    TABLE,
)
from claude_gatewayd.bedrock.models import Family
from claude_gatewayd.bedrock.request import shape, unknown_fields, unsupported, without_thinking
from claude_gatewayd.worker.gateway.message_threads import is_partial
from tests.fakes import shapes
from tests.support.bedrock_bodies import (
    HOUR,
    NEW_HEADER,
    OLD_HEADER,
    PLAIN,
    SCHEMA,
    USER_ID,
    at,
    bodies,
    likely,
    names,
    places,
    text,
    turn,
    values,
)

CONTEXT_1M, INTERLEAVED, TOOL_SEARCH, THINKING_COUNT, DISPLAY_UPDATES, FALLBACK_CREDIT = ASKED_BETAS
OF_5 = ASKED_BETAS[:4]


def test_a_turn_of_the_newest() -> None:
    shaped = shape(turn(), NEW_HEADER, Family.CLAUDE_5)
    assert shaped.betas == (INTERLEAVED, TOOL_SEARCH, THINKING_COUNT)
    assert shaped.body == {
        "messages": [
            {"role": "user", "content": [text("reminder"), text("list the files")]},
            {"role": "system", "content": "environment"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    text("I will look."),
                    {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"cache_control": {"ttl": "1h"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1",
                     "content": [{"type": "tool_reference", "tool_name": "WebFetch"}], "is_error": False},
                    text("Tool loaded.", cache_control=PLAIN),
                ],
            },
        ],
        "system": [text("You are an agent.", cache_control=PLAIN), text("Do well.", cache_control=PLAIN)],
        "tools": [
            {"name": "Bash", "description": "runs", "input_schema": {"type": "object", "ttl": 1}},
            {"name": "WebFetch", "description": "fetches", "input_schema": {}, "defer_loading": True,
             "cache_control": PLAIN},
        ],
        "metadata": {"user_id": USER_ID},
        "max_tokens": 128000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "medium"},
    }  # fmt: skip


def test_a_turn_of_an_older_client() -> None:
    body = turn(thinking={"type": "adaptive"}, output_config={"effort": "xhigh"}, max_tokens=64000)
    shaped = shape(body, OLD_HEADER, Family.CLAUDE_5)
    assert shaped.betas == (CONTEXT_1M, INTERLEAVED)
    assert shaped.body["thinking"] == {"type": "adaptive"}
    assert shaped.body["output_config"] == {"effort": "xhigh"}


def test_a_turn_that_an_older_model_takes_over() -> None:
    """Nothing of what it does not know is left: it reads as a turn that was meant for it."""
    shaped = shape(turn(), NEW_HEADER, Family.HAIKU_4_5)
    assert shaped.betas == (TOOL_SEARCH,)
    assert shaped.body["messages"][0] == {
        "role": "user",
        "content": [
            text("reminder"),
            text("list the files"),
            text("<system-reminder>\nenvironment\n</system-reminder>"),
        ],
    }
    assert [message["role"] for message in shaped.body["messages"]] == ["user", "assistant", "user"]
    assert shaped.body["thinking"] == {"type": "enabled", "budget_tokens": 31999}
    assert shaped.body["max_tokens"] == 64000
    assert "output_config" not in shaped.body


def test_a_model_without_tool_search_or_thinking() -> None:
    shaped = shape(turn(), NEW_HEADER, Family.CLAUDE_3)
    assert shaped.betas == ()
    assert not [tool for tool in shaped.body["tools"] if "defer_loading" in tool]
    assert "thinking" not in json.dumps(shaped.body)
    assert shaped.body["messages"][-1]["content"][0]["content"] == [text("[tool references]")]
    assert shaped.body["max_tokens"] == 4096


def test_no_tool_search_without_its_beta() -> None:
    assert "defer_loading" not in json.dumps(shape(turn(), "what-is-this-2027-01-01", Family.CLAUDE_5).body)
    assert "tool_reference" not in json.dumps(shape(turn(), None, Family.CLAUDE_5).body)


@pytest.mark.parametrize(
    ("family", "asked", "sent"),
    [
        ("5", {"type": "adaptive", "display": "omitted"}, {"type": "adaptive", "display": "omitted"}),
        ("5", {"type": "adaptive", "display": "summarized"}, {"type": "adaptive", "display": "summarized"}),
        ("5", {"type": "adaptive", "display": "updates"}, {"type": "adaptive", "display": "omitted"}),
        ("5", {"type": "adaptive", "block_binding": {}}, {"type": "adaptive"}),
        ("5", {"type": "enabled", "budget_tokens": 8000}, {"type": "adaptive"}),
        ("5", {"type": "disabled"}, {"type": "disabled"}),
        ("5.1", {"type": "disabled"}, None),
        ("4.7", {"type": "disabled"}, None),
        ("5.1", {"type": "between_tools"}, None),
        ("4.7", {"type": "enabled", "budget_tokens": 8000, "display": "omitted"},
         {"type": "adaptive", "display": "omitted"}),
        ("4.6", {"type": "adaptive", "display": "omitted"}, {"type": "adaptive"}),
        ("4.6", {"type": "enabled", "budget_tokens": 8000}, {"type": "enabled", "budget_tokens": 8000}),
        ("4.5", {"type": "enabled", "budget_tokens": 8000, "display": "omitted"},
         {"type": "enabled", "budget_tokens": 8000}),
        ("4.5", {"type": "enabled", "budget_tokens": 63000}, {"type": "enabled", "budget_tokens": 31999}),
        ("4.5", {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 31999}),
        ("4", {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 31999}),
        ("3", {"type": "enabled", "budget_tokens": 8000}, None),
        ("4.5", None, None),
        ("4.5", {"type": "enabled", "budget_tokens": "many"}, {"type": "enabled", "budget_tokens": "many"}),
    ],
)  # fmt: skip
def test_thinking(family: str, asked: object, sent: object) -> None:
    body = shape(turn(thinking=asked, max_tokens=32000), None, Family(family)).body
    assert body.get("thinking") == sent


@pytest.mark.parametrize(
    ("family", "begins_with", "sent"),
    [
        ("4.5", {"type": "thinking", "thinking": "hm", "signature": "c2ln"}, "enabled"),
        ("4.5", {"type": "redacted_thinking", "data": "eA=="}, "enabled"),
        ("4.5", text("Let me see."), None),
        ("5", text("Let me see."), "adaptive"),
    ],
)
def test_a_budget_is_no_more_given_where_tools_run_unthought(family: str, begins_with: object, sent: object) -> None:
    """A model that decides itself had not thought; the one that takes over with a budget would be refused."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [begins_with, call]},
        {"role": "user", "content": [result(text("42"))]},
    ]
    shaped = shape(turn(messages=messages), NEW_HEADER, Family(family)).body
    assert shaped.get("thinking", {}).get("type") == sent
    asked_on = [*messages, {"role": "assistant", "content": "42"}, {"role": "user", "content": "thanks"}]
    assert "thinking" in shape(turn(messages=asked_on), NEW_HEADER, Family(family)).body


def test_no_room_to_think() -> None:
    assert "thinking" not in shape(turn(max_tokens=1000), None, Family.CLAUDE_4_5).body


@pytest.mark.parametrize(
    ("family", "asked", "sent"),
    [
        ("5", {"effort": "max"}, {"effort": "max"}),
        ("5", {"effort": "high", "task_budget": {}}, {"effort": "high"}),
        ("5", {"effort": ["high"]}, None),
        ("4.7", {"effort": "xhigh"}, {"effort": "xhigh"}),
        ("4.6", {"effort": "xhigh"}, {"effort": "high"}),
        ("4.6", {"effort": "max"}, {"effort": "max"}),
        ("4.5", {"effort": "low"}, None),
    ],
)
def test_effort(family: str, asked: object, sent: object) -> None:
    assert shape(turn(output_config=asked), None, Family(family)).body.get("output_config") == sent


@pytest.mark.parametrize(
    ("family", "header", "betas"),
    [
        ("5", None, ()),
        ("5", "", ()),
        ("5", " interleaved-thinking-2025-05-14 , what-is-this-2027-01-01", (INTERLEAVED,)),
        ("5", "advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19", (TOOL_SEARCH,)),
        ("5.1", "thinking-display-updates-2026-08-18,fallback-credit-2026-06-01", (FALLBACK_CREDIT,)),
        ("5", "thinking-display-updates-2026-08-18,fallback-credit-2026-06-01,structured-outputs-2025-12-15", ()),
        ("5.1", ",".join(BETAS), (*OF_5, FALLBACK_CREDIT)),
        ("4.7", ",".join(BETAS), OF_5),
        ("4.6", ",".join(BETAS), BETAS[:3]),
        ("4.5", ",".join(BETAS), BETAS[:3]),
        ("haiku-4.5", ",".join(BETAS), (TOOL_SEARCH,)),
        ("4", ",".join(BETAS), BETAS[:2]),
        ("3.7", ",".join(BETAS), ()),
    ],
)
def test_betas(family: str, header: str | None, betas: tuple[str, ...]) -> None:
    assert shape(turn(), header, Family(family)).betas == betas


def test_sampling_is_for_those_that_take_it() -> None:
    body = turn(temperature=1, top_p=0.5, top_k=3)
    assert shape(body, None, Family.CLAUDE_4_6).body.items() >= {"temperature": 1, "top_p": 0.5, "top_k": 3}.items()
    assert not {"temperature", "top_p", "top_k"} & shape(body, None, Family.CLAUDE_4_7).body.keys()


def test_system_messages_that_hold_nothing_else_are_dropped() -> None:
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "system", "content": [], "output_config": {"effort": "low"}},
        {"role": "assistant", "content": [{"type": "fallback", "from": {}, "to": {}}]},
        {"role": "system", "content": [text("now")], "clear_at": "next_user_message"},
    ]
    kept = shape(turn(messages=messages), None, Family.CLAUDE_5).body["messages"]
    assert kept == [{"role": "user", "content": "hello"}, {"role": "system", "content": [text("now")]}]


def test_system_messages_where_the_user_has_to_say_them() -> None:
    messages = [
        {"role": "system", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "hello"},
        {"role": "system", "content": [text("second", cache_control=HOUR)]},
    ]
    assert shape(turn(messages=messages), None, Family.CLAUDE_4_5).body["messages"] == [
        {"role": "user", "content": [text("<system-reminder>\nfirst\n</system-reminder>")]},
        {"role": "assistant", "content": "yes"},
        {
            "role": "user",
            "content": [text("hello"), text("<system-reminder>\nsecond\n</system-reminder>", cache_control=PLAIN)],
        },
    ]


def test_tools_that_came_in_mid_conversation_are_declared() -> None:
    defined = {"name": "Late", "description": "late", "input_schema": {}}
    changes = [
        {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "Bash"}},
        {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "WebFetch"}},
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": defined}},
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": defined | {"name": "Bash"}}},
    ]
    messages = [{"role": "user", "content": "hello"}, {"role": "system", "content": [text("new tools"), *changes]}]
    shaped = shape(turn(messages=messages), NEW_HEADER, Family.CLAUDE_5)
    assert shaped.body["messages"][1] == {"role": "system", "content": [text("new tools")]}
    assert [(tool["name"], "defer_loading" in tool) for tool in shaped.body["tools"]] == [
        ("Bash", False),
        ("WebFetch", False),
        ("Late", False),
    ]


@pytest.mark.parametrize(
    ("system", "sent"),
    [
        ("x-anthropic-billing-header: cc_version=2", None),
        ("x-anthropic-billing-header: cc_version=2\nBe brief.", "Be brief."),
        ("Be brief.\nx-anthropic-billing-header: what is it?", "Be brief.\nx-anthropic-billing-header: what is it?"),
    ],
)
def test_the_billing_line_of_a_system_text(system: str, sent: str | None) -> None:
    """LiteLLM would drop such a text whole, with all that stands below the line."""
    assert shape(turn(system=system), None, Family.CLAUDE_5).body.get("system") == sent


def test_what_is_empty_is_left_out() -> None:
    body = shape(
        {"messages": [], "system": [text("x-anthropic-billing-header: a")], "tools": []}, None, Family.CLAUDE_5
    )
    assert body.body == {"messages": []}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
FORMAT = {"type": "json_schema", "schema": SCHEMA}
STRICT = {"name": "Bash", "input_schema": {}, "strict": True}
FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}


def result(*blocks: object) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": list(blocks)}


def says(*blocks: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (turn(), None),
        (says(IMAGE, result(IMAGE)), None),
        (says(text('{"type":"server_tool_use"}')), None),
        ({"tools": [{"type": "custom", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"}]}, None),
        ({"tools": [{"type": "computer_toolset_20260801"}]}, "the tool computer_toolset_20260801"),
        ({"tools": [{"type": "computer_20250124", "name": "computer"}]}, "the tool computer_20250124"),
        ({"inference_geo": "us"}, "a place to work at (inference_geo)"),
        ({"inference_geo": "global"}, None),
        ({"mcp_servers": [], "container": None}, None),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
          "tool_choice": {"type": "tool", "name": "web_search"}}, "the server tool web_search_20250305"),
        ({"tools": [{"name": "Bash"}, {"type": "code_execution_20250825"}]}, "the server tool code_execution_20250825"),
        ({"tools": [{"type": "mcp_toolset"}]}, "the server tool mcp_toolset"),
        ({"mcp_servers": [{"type": "url"}]}, "MCP connectors"),
        ({"container": "container_1"}, "a container"),
        (turn(safeguards=[{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}]), None),
        (says(FILE), "a file to be fetched"),
        (says(result(FILE)), "a file to be fetched"),
        (says({"type": "image", "source": {"type": "url", "url": "https://x.example"}}), "a url to be fetched"),
        (says({"type": "document", "source": {"type": "content", "content": [FILE]}}), "a file to be fetched"),
        (says(result({"type": "document", "source": {"type": "content", "content": [FILE]}})), "a file to be fetched"),
        (turn(stream="yes"), "a stream that is neither true nor false"),
        (turn(stream=1), "a stream that is neither true nor false"),
        (turn(stream=None), None),
        (says({"type": "server_tool_use", "id": "srvtoolu_1"}), "a block of the kind server_tool_use"),
        (says({"type": "container_upload", "file_id": "f"}), "a block of the kind container_upload"),
    ],
)  # fmt: skip
def test_what_only_anthropic_can(body: dict[str, Any], reason: str | None) -> None:
    assert unsupported(body, Family.CLAUDE_5) == reason


@pytest.mark.parametrize(
    "kind",
    ["server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "advisor_tool_result", "compaction",
     "code_execution_tool_result", "bash_code_execution_tool_result", "text_editor_code_execution_tool_result",
     "tool_search_tool_result", "mcp_tool_use", "mcp_tool_result", "container_upload"],
)  # fmt: skip
def test_what_anthropic_itself_has_written(kind: str) -> None:
    assert unsupported(says({"type": kind}), Family.CLAUDE_5) == f"a block of the kind {kind}"


@pytest.mark.parametrize(
    ("family", "most", "has_system"),
    [("3", 4096, False), ("3.7", 64_000, False), ("4", 32_000, False), ("4.5", 64_000, False),
     ("haiku-4.5", 64_000, False), ("4.6", 64_000, False), ("4.7", 128_000, False), ("5", 128_000, True),
     ("5.1", 128_000, True)],
)  # fmt: skip
def test_what_differs_by_family(family: str, most: int, has_system: bool) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]
    body = shape({"messages": messages, "max_tokens": 10**6}, None, Family(family)).body
    assert body["max_tokens"] == most
    assert [message["role"] for message in body["messages"]] == (["user", "system"] if has_system else ["user"])


@pytest.mark.parametrize("key", ["$ref", "oneOf", "anyOf", "allOf"])
def test_a_schema_that_no_tool_may_have(key: str) -> None:
    wanted = {"format": FORMAT | {"schema": SCHEMA | {key: []}}}
    assert unsupported(turn(output_config=wanted, tools=[]), Family.CLAUDE_5) == LACKS_FORMAT
    assert unsupported(turn(output_config=wanted, tools=[]), Family.CLAUDE_4_6) is None


@pytest.mark.parametrize(
    ("body", "partial"),
    [
        ({"thread": {"type": "continue", "previous_message_id": "msg_1"}}, True),
        ({"thread": {"type": "of next year"}}, True),
        ({"thread": {"previous_message_id": "msg_1"}}, True),
        ({"thread": {"type": None, "previous_message_id": "msg_1"}}, True),
        ({"thread": {"type": "create"}}, False),
        ({"thread": {"type": "create", "previous_message_id": "msg_1"}}, False),
        ({"thread": {}}, False),
        ({"thread": None}, False),
        ({"resumption": {"type": "enabled", "token": "t"}}, True),
        ({"resumption": {"type": "enabled"}}, False),
        ({}, False),
    ],
)
def test_what_has_only_the_new_messages(body: dict[str, Any], partial: bool) -> None:
    assert is_partial(body) == partial


LACKS_FORCE = "a tool that has to be called (tool_choice) with this model"
LACKS_FORMAT = "this output format (output_config.format) with this model, or beside tools"


@pytest.mark.parametrize(
    ("family", "body", "reason"),
    [
        ("4.5", {"tools": [STRICT]}, None),
        ("haiku-4.5", {"tools": [STRICT]}, None),
        ("4.6", {"tools": [STRICT]}, None),
        ("4", {"tools": [STRICT]}, "strict tools with this model"),
        ("4.7", {"tools": [STRICT]}, "strict tools with this model"),
        ("5.1", {"tools": [STRICT]}, "strict tools with this model"),
        ("5.1", {"tools": [STRICT | {"strict": False}]}, None),
        ("5", says({"type": "tool_addition", "tool": {"definition": STRICT}}), "strict tools with this model"),
        ("5.1", turn(tools=[STRICT | {"strict": False}], tool_choice={"type": "any"}), LACKS_FORCE),
        ("5.1", turn(tools=[STRICT | {"strict": False}], tool_choice={"type": "tool", "name": "Bash"}), LACKS_FORCE),
        ("5.1", turn(tools=[STRICT | {"strict": False}], tool_choice={"type": "auto"}), None),
        ("5", turn(tools=[STRICT | {"strict": False}], tool_choice={"type": "any"}), None),
        ("4.6", turn(output_config={"format": FORMAT}), None),
        ("4", turn(output_config={"format": FORMAT}), LACKS_FORMAT),
        ("5.1", turn(output_config={"format": FORMAT}), LACKS_FORMAT),
        ("5.1", turn(output_config={"format": FORMAT}, tools=[]), None),
        ("5", {"output_format": FORMAT}, None),
        ("5", {"output_config": {"format": FORMAT | {"schema": {"type": "array"}}}}, LACKS_FORMAT),
        (
            "5",
            {"output_config": {"format": FORMAT | {"schema": {"$ref": "#/$defs/a", "type": "object"}}}},
            LACKS_FORMAT,
        ),
        ("4.6", {"output_config": {"format": {"type": "of next year"}}}, LACKS_FORMAT),
        ("4.6", {"output_format": "json"}, LACKS_FORMAT),
        ("4.5", {"tools": [{"type": "computer_20251124", "name": "computer"}]}, None),
        (
            "haiku-4.5",
            {"tools": [{"type": "computer_20251124", "name": "computer"}]},
            "the tool computer_20251124",
        ),
        ("4", {"tools": [{"type": "computer_20250124", "name": "computer"}]}, None),
        ("4.6", {"tools": [{"type": "memory_20250818", "name": "memory"}]}, None),
        ("4", {"tools": [{"type": "memory_20250818", "name": "memory"}]}, "the tool memory_20250818"),
        ("3.7", {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "the tool bash_20250124"),
        ("5", {"tools": [{"type": "text_editor_20241022", "name": "e"}]}, "the tool text_editor_20241022"),
    ],
)
def test_what_a_family_lacks(family: str, body: dict[str, Any], reason: str | None) -> None:
    assert unsupported(body, Family(family)) == reason


def test_a_schema_goes_as_it_is_where_the_family_takes_it() -> None:
    body = turn(output_config={"effort": "high", "format": FORMAT})
    shaped = shape(body, None, Family.CLAUDE_4_6)
    assert shaped.body["output_config"] == {"effort": "high", "format": FORMAT}
    assert shaped.schema is None
    older = shape(turn(output_config=None, output_format=FORMAT), None, Family.CLAUDE_4_5)
    assert older.body["output_config"] == {"format": FORMAT}


def test_a_tool_stands_in_for_a_schema() -> None:
    body = turn(output_config={"effort": "high", "format": FORMAT}, tools=[], thinking=None)
    shaped = shape(body, None, Family.CLAUDE_5)
    (tool,) = shaped.body["tools"]
    assert (tool["input_schema"], shaped.schema) == (SCHEMA, SCHEMA)
    assert shaped.body["tool_choice"] == {"type": "tool", "name": tool["name"]}
    assert shaped.body["output_config"] == {"effort": "high"}
    unthinking = shape(body | {"thinking": {"type": "disabled"}}, None, Family.CLAUDE_5).body
    assert (unthinking["thinking"]["type"], unthinking["tool_choice"]["type"]) == ("disabled", "tool")


@pytest.mark.parametrize(
    ("family", "thinking"),
    [(Family.CLAUDE_5_1, None), (Family.CLAUDE_5, {"type": "adaptive"})],
    ids=["never", "thinks"],
)
def test_a_tool_that_cannot_be_forced_is_told_of(family: Family, thinking: object) -> None:
    """A model that always thinks, or thinks this time, refuses to be forced."""
    shaped = shape(turn(output_config={"format": FORMAT}, tools=[], thinking=thinking), None, family)
    assert shaped.body["tool_choice"] == {"type": "auto"}
    assert "answer" in shaped.body["system"][-1]["text"]


def test_a_schema_that_was_refused_goes_by_a_tool() -> None:
    body = turn(output_config={"format": FORMAT}, tools=[])
    assert shape(body, None, Family.CLAUDE_4_5, bound=False).schema == SCHEMA


@pytest.mark.parametrize(
    ("family", "kind", "beta"),
    [
        ("4.5", "computer_20250124", COMPUTER_USE_OLD),
        ("5.1", "computer_20251124", COMPUTER_USE),
        ("5", "bash_20250124", None),
        ("4.5", "memory_20250818", None),
    ],
)
def test_a_tool_brings_the_beta_that_it_needs(family: str, kind: str, beta: str | None) -> None:
    tool = {"type": kind, "name": "it", "display_width_px": 1024, "cache_control": HOUR}
    shaped = shape(turn(tools=[tool]), None, Family(family))
    assert shaped.betas == ((beta,) if beta else ())
    assert shaped.body["tools"] == [tool | {"cache_control": PLAIN}]


@pytest.mark.parametrize(
    ("family", "header", "sent"),
    [("5.1", DISPLAY_UPDATES, "updates"), ("5.1", "", "omitted"), ("4.7", DISPLAY_UPDATES, "updates")],
)
def test_updates_need_their_beta(family: str, header: str, sent: str) -> None:
    shaped = shape(turn(thinking={"type": "adaptive", "display": "updates"}), header, Family(family))
    assert shaped.body["thinking"] == {"type": "adaptive", "display": sent}
    assert shaped.betas == ((DISPLAY_UPDATES,) if sent == "updates" else ())
    assert shaped.header_betas == shaped.betas  # as 2.1.332 sends it in Bedrock mode: in both places


def test_the_turn_of_auto_mode() -> None:
    header = shapes.AUTO.header("anthropic-beta")
    shaped = shape(shapes.AUTO.json(), header, Family.CLAUDE_5_1)
    assert shaped.betas == (INTERLEAVED, TOOL_SEARCH, THINKING_COUNT, DISPLAY_UPDATES)
    assert shaped.body["thinking"]["display"] == "updates"
    assert unknown_fields(shapes.AUTO.json()) == []


def test_without_thinking() -> None:
    body = turn()
    assert "thinking" in without_thinking(body)
    assert [block["type"] for block in without_thinking(body)["messages"][2]["content"]] == ["text", "tool_use"]


def test_without_thinking_a_budget_goes_while_tools_run() -> None:
    budget = {"type": "enabled", "budget_tokens": 8000}
    body = turn(thinking=budget)
    assert "thinking" not in without_thinking(body)
    messages = [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "eA=="}]},
            {"role": "user", "content": "go on"}]  # fmt: skip
    assert without_thinking({"messages": messages, "thinking": budget}) == {
        "messages": messages[1:],
        "thinking": budget,
    }


# -- anything at all --------------------------------------------------------------------------------------------------


def pieces(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is ours to clean: tools, and the blocks of system, messages and results."""
    found: list[Any] = [*body.get("tools", [])]
    if isinstance(body.get("system"), list):
        found += body["system"]
    for message in body["messages"]:
        if isinstance(message, dict) and isinstance(message["content"], list):
            found += message["content"]
            results = [b for b in message["content"] if isinstance(b, dict) and b.get("type") == "tool_result"]
            found += [inner for b in results if isinstance(b.get("content"), list) for inner in b["content"]]
    return [piece for piece in found if isinstance(piece, dict)]


@given(bodies, st.none() | st.text(max_size=30) | st.sampled_from([NEW_HEADER, OLD_HEADER]), st.sampled_from(Family))
def test_whatever_comes(body: dict[str, Any], header: str | None, family: Family) -> None:
    before = copy.deepcopy(body)
    unsupported(body, family)
    unknown_fields(body)
    without_thinking(body)
    shaped = shape(body, header, family)
    assert repr(body) == repr(before)
    takes = TABLE[family]
    assert shaped.body.keys() <= {
        "messages", "system", "tools", "tool_choice", "stop_sequences", "temperature", "top_p", "top_k", "max_tokens",
        "metadata", "thinking", "output_config"}  # fmt: skip
    assert set(shaped.betas) <= takes.betas
    assert shaped.body.get("output_config", {}).keys() <= ({"effort", "format"} if takes.schema else {"effort"})
    assert shaped.body.get("thinking", {}).keys() <= {"type", "budget_tokens", "display"}
    for message in shaped.body["messages"]:
        if isinstance(message, dict):
            assert message.keys() == {"role", "content"}
            assert takes.system or message["role"] != "system"
            content = message["content"] if isinstance(message["content"], list) else []
            calls = [b for b in content if isinstance(b, dict) and b.get("type") == "tool_use"]
            assert not [call for call in calls if "caller" in call]
    for piece in pieces(shaped.body):
        assert piece.get("cache_control", {}).keys() <= {"type"}
    system = shaped.body.get("system")
    blocks = [block for block in system if isinstance(block, dict)] if isinstance(system, list) else []
    words = [block.get("text") for block in blocks if block.get("type") == "text"]
    assert not [word for word in words if str(word).startswith("x-anthropic-billing-header:")]


@given(likely, st.sampled_from(Family))
def test_shaping_is_done_once(body: dict[str, Any], family: Family) -> None:
    """What has been brought into Bedrock's form stays as it is."""
    once = shape(body, None, family).body
    assert repr(shape(once, None, family).body) == repr(once)


# -- nothing is dropped silently ---------------------------------------------------------------------------------------


@given(places, names, values, st.sampled_from(Family))
def test_nothing_is_left_out_silently(place: str, name: str, value: Any, family: Family) -> None:
    """What is asked for is sent, or named as left out or put otherwise, or it is no request for Bedrock."""
    body = turn()
    at(body, place)[name] = value
    path = f"{place}.{name}".lstrip(".")
    if unsupported(body, family) is not None or is_partial(body):
        return
    shaped = shape(body, NEW_HEADER, family)
    sent = at(shaped.body, place)
    if isinstance(sent, dict) and sent.get(name) == value:
        return
    otherwise = {part for names in CHANGED for part in names.split(", ")}
    if path in LEFT_OUT or path in otherwise or (name in SENT[place] and {place, name} & otherwise):
        return
    if shaped.schema is not None and name in ("format", "output_format", "tools", "tool_choice"):
        return
    named = unknown_fields(body)
    assert path in named or any(one.startswith(f"{path}.") for one in named), (path, value, family)


@pytest.mark.parametrize("sent", [shapes.MAIN, shapes.MAIN_197, shapes.TOOL_SEARCH, shapes.TITLE, shapes.AUTO], ids=str)
def test_all_that_the_client_sends_is_known(sent: shapes.Shape) -> None:
    assert unknown_fields(sent.json()) == []


def test_what_is_unknown_is_named() -> None:
    body = turn(of_next_year=1, tools=[{"name": "Bash", "later": 1}], metadata={"user_id": USER_ID, "trace": 1})
    assert unknown_fields(body) == ["of_next_year", "metadata.trace", "tools[].later"]
