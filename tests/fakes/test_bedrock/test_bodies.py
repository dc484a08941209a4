"""The fake Bedrock takes what Claude Code sends, and refuses what Bedrock refuses."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.bedrock import INVOKE, SIGNATURE, STREAM, FakeBedrock
from tests.fakes.bedrock_body import BodyRefusedError, check_body
from tests.fakes.bedrock_models import FAMILIES
from tests.fakes.test_bedrock.bodies import REFERENCE, WEB_SEARCH, cached, older_turn, result, tool_turn, turn, without
from tests.fakes.test_bedrock.calls import (
    BETAS,
    EXTRA,
    HAIKU_45,
    OPUS,
    SONNET_45,
    ask,
    post,
    refusal,
    signed_headers,
    target_of,
)


class TestBodies:
    @pytest.mark.parametrize("operation", [INVOKE, STREAM])
    @pytest.mark.parametrize(
        ("model", "body"),
        [
            (OPUS, turn()),
            (OPUS, tool_turn(result(), {"type": "text", "text": "a reminder"})),
            (OPUS, tool_turn(result(REFERENCE))),
            (OPUS, tool_turn(result(call=1), result(), calls=2)),
            ("us.anthropic.claude-opus-4-8", turn(thinking={"type": "adaptive"})),
            (SONNET_45, older_turn(anthropic_beta=BETAS[:2])),
            (HAIKU_45, older_turn()),
            (HAIKU_45, ask()),
        ],
    )
    def test_takes_what_claude_code_sends(
        self, fake: FakeBedrock, model: str, body: dict[str, Any], operation: str
    ) -> None:
        answer, data = post(fake, body, model=model, operation=operation)
        assert answer.status == 200, data
        assert (fake.violations, fake.refusals) == ([], [])

    @pytest.mark.parametrize(
        ("family", "body", "text"),
        [
            ("opus-5-5", without(turn(), "anthropic_version"), "anthropic_version: Field required"),
            ("opus-5-5", turn(anthropic_version="2023-06-01"), "Invalid API version: 2023-06-01"),
            ("opus-5-5", without(turn(), "max_tokens"), "max_tokens: Field required"),
            (
                "3-5-haiku",
                without(ask(), "max_tokens"),
                "Malformed input request: #: required key [max_tokens] not found, "
                "please reformat your input and try again.",
            ),
            ("opus-5-5", turn(model="claude-opus-5-5"), f"model: {EXTRA}"),
            ("opus-5-5", turn(stream=True), f"stream: {EXTRA}"),
            ("opus-5-5", turn(context_management={"edits": []}), f"context_management: {EXTRA}"),
            ("opus-5-5", turn(diagnostics={}), f"diagnostics: {EXTRA}"),
            ("opus-5-5", turn(mcp_servers=[]), f"mcp_servers: {EXTRA}"),
            (
                "3-5-haiku",
                ask(stream=True),
                "Malformed input request: #: extraneous key [stream] is not permitted, "
                "please reformat your input and try again.",
            ),
            (
                "opus-5-5",
                turn(messages=[{"role": "user", "content": "x", "output_config": {"effort": "low"}}]),
                f"messages.0.output_config: {EXTRA}",
            ),
            ("opus-5-5", turn(system=cached(ttl="1h")), f"system.0.cache_control.ephemeral.ttl: {EXTRA}"),
            ("opus-5-5", turn(system=cached(scope="global")), f"system.0.cache_control.ephemeral.scope: {EXTRA}"),
            (
                "opus-5-5",
                turn(messages=[{"role": "user", "content": cached(ttl="1h")}]),
                f"messages.0.content.0.text.cache_control.ephemeral.ttl: {EXTRA}",
            ),
            (
                "opus-5-5",
                turn(system=cached() * 4),
                "A maximum of 4 blocks with cache_control may be provided. Found 5.",
            ),
            ("opus-5-5", turn(anthropic_beta=[*BETAS, "oauth-2025-04-20"]), "invalid beta flag"),
            ("opus-5-5", turn(anthropic_beta=["claude-code-20250219"]), "invalid beta flag"),
            ("haiku-4-5", older_turn(anthropic_beta=BETAS[:1]), "invalid beta flag"),
            (
                "sonnet-4-5",
                older_turn(messages=turn()["messages"]),
                "messages.1.role: Input should be 'user' or 'assistant'",
            ),
            (
                "sonnet-4-5",
                older_turn(thinking={"type": "adaptive"}),
                "adaptive thinking is not supported on this model",
            ),
            (
                "sonnet-4-5",
                older_turn(thinking={"type": "enabled", "budget_tokens": 2000, "display": "omitted"}),
                f"thinking.enabled.display: {EXTRA}",
            ),
            (
                "opus-5-5",
                turn(thinking={"type": "enabled", "budget_tokens": 2000}),
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.',
            ),
            (
                "sonnet-4-5",
                older_turn(thinking={"type": "enabled", "budget_tokens": 100}),
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ),
            (
                "sonnet-4-5",
                older_turn(max_tokens=31999),
                "`max_tokens` must be greater than `thinking.budget_tokens`.",
            ),
            (
                "sonnet-4-5",
                older_turn(output_config={"effort": "low"}),
                "This model does not support the effort parameter.",
            ),
            ("sonnet-4", ask(output_config={"effort": "low"}), f"output_config: {EXTRA}"),
            (
                "opus-4-6",
                ask(output_config={"effort": "xhigh"}),
                "output_config.effort: Input should be 'low', 'medium', 'high' or 'max'",
            ),
            ("opus-5-5", turn(temperature=0.5), "`temperature` is deprecated for this model."),
            ("opus-5-5", turn(output_config={"efforts": 1}), f"output_config.efforts: {EXTRA}"),
            (
                "sonnet-4-5",
                older_turn(max_tokens=128000),
                "The maximum tokens you requested exceeds the model limit of 64000. "
                "Try again with a maximum tokens value that is lower than 64000.",
            ),
            ("opus-5-5", turn(anthropic_beta=[]), f"tools.1.custom.defer_loading: {EXTRA}"),
            (
                "opus-5-5",
                turn(tools=[{**turn()["tools"][0], "eager_input_streaming": True}]),
                f"tools.0.custom.eager_input_streaming: {EXTRA}",
            ),
            ("opus-5-5", turn(tools=[WEB_SEARCH]), "tools.0: Input tag 'web_search_20250305' found using 'type'"),
            ("opus-5-5", turn(tools=turn()["tools"] * 2), "tools: Tool names must be unique."),
            (
                "opus-5-5",
                turn(tool_choice={"type": "tool", "name": "Bash"}),
                "Thinking may not be enabled when tool_choice forces tool use.",
            ),
            (
                "opus-5-5",
                tool_turn(result(REFERENCE), tools=turn()["tools"][:1], anthropic_beta=[]),
                "messages.2.content.0.tool_result.content.0: Input tag 'tool_reference' found using 'type'",
            ),
            (
                "opus-5-5",
                tool_turn({"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}),
                "messages.2.content.0: Input tag 'server_tool_use' found",
            ),
            (
                "opus-5-5",
                ask(messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]),
                "messages.0.content.0.image.source: Input tag 'file' found",
            ),
            (
                "opus-5-5",
                tool_turn({"type": "text", "text": "a reminder"}, result()),
                "messages.2: Did not find 1 `tool_result` block(s) at the beginning of this message.",
            ),
            ("opus-5-5", tool_turn(result(), calls=2), "messages.1: `tool_use` ids were found without `tool_result`"),
            ("opus-5-5", tool_turn(result(call=7), result()), "messages.2: unexpected `tool_use_id` found"),
            ("opus-5-5", ask(""), "messages.0: all messages must have non-empty content"),
            ("opus-5-5", ask(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages: text content"),
            ("opus-5-5", ask(messages=[]), "messages: at least one message is required"),
            ("opus-5-5", ask("x" * 900_000), "Input is too long for requested model."),
            ("opus-5-5", b"{", "Malformed input request, please reformat"),
            ("opus-5-5", [], "Malformed input request: #: expected type: JSONObject, found: JSONArray"),
            ("opus-5-5", turn(messages=["x"]), "Malformed input request: #: "),
        ],
    )
    def test_refuses(self, family: str, body: Any, text: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with pytest.raises(BodyRefusedError) as refused:
            check_body(data, FAMILIES[family], "invoke")
        assert str(refused.value).startswith(text)

    def test_answers_a_refusal(self, fake: FakeBedrock) -> None:
        answer, data = post(fake, turn(stream=True), operation=STREAM)
        assert (answer.status, json.loads(data)) == (400, {"message": f"stream: {EXTRA}"})
        assert answer.getheader("x-amzn-errortype") == (
            "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"
        )
        assert answer.getheader("x-amzn-requestid") == "00000000-0000-4000-8000-000000000001"
        assert fake.refusals == [f"POST {target_of(OPUS, STREAM)}: ValidationException: stream: {EXTRA}"]
        assert fake.violations == []

    def test_every_rule_is_a_knob(self, fake: FakeBedrock) -> None:
        family = fake.families["opus-5-5"]
        fake.families["opus-5-5"] = replace(family, cache_ttl=True, context_management=True, server_tools=True)
        body = turn(system=cached(ttl="1h"), context_management={"edits": []}, tools=[WEB_SEARCH])
        assert post(fake, body)[0].status == 200

    def test_takes_betas_of_claude_code_where_tokens_are_counted(self) -> None:
        body = json.dumps(ask(max_tokens=1, anthropic_beta=["claude-code-20250219"])).encode()
        check_body(body, FAMILIES["opus-5-5"], "invoke")
        check_body(body, FAMILIES["opus-5-5"], "count-tokens")
        with pytest.raises(BodyRefusedError):
            check_body(body, FAMILIES["opus-5-5"], "invoke-with-response-stream")

    def test_long_context_is_a_beta(self) -> None:
        body = ask("x" * 900_000, anthropic_beta=["context-1m-2025-08-07"])
        check_body(json.dumps(body).encode(), FAMILIES["opus-5-5"], "invoke")
        image = {"type": "base64", "media_type": "image/png", "data": "A" * 3_000_000}
        pictured = ask(messages=[{"role": "user", "content": [{"type": "image", "source": image}]}])
        check_body(json.dumps(pictured).encode(), FAMILIES["opus-5-5"], "invoke")

    @pytest.mark.parametrize("mode", ["ignored", "checked"])
    def test_betas_in_the_header(self, mode: Any) -> None:
        with FakeBedrock(header_betas=mode) as fake:
            data = json.dumps(ask()).encode()
            headers = signed_headers(fake, target_of(OPUS), data) | {"anthropic-beta": "a-2025-01-01, b"}
            assert post(fake, data, headers=headers)[0].status == (200 if mode == "ignored" else 400)

    def test_foreign_signatures(self, fake: FakeBedrock) -> None:
        assert post(fake, tool_turn(result()))[0].status == 200
        fake.foreign_signatures_refused = True
        text = "messages.1.content.0: Invalid `signature` in `thinking` block"
        assert refusal(fake, tool_turn(result())) == (400, "ValidationException", text)
        body = tool_turn(result())
        body["messages"][1]["content"][0]["signature"] = SIGNATURE
        assert post(fake, body)[0].status == 200
