"""The fake Bedrock answers whole and in streams, and counts tokens."""

import base64
import http.client
import json
import time

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.bedrock import COUNT, SIGNATURE, STREAM, FakeBedrock, model_of, operation_of
from tests.fakes.bedrock_frames import frame
from tests.fakes.test_bedrock.bodies import turn
from tests.fakes.test_bedrock.calls import OPUS, ask, messages_in, post, stream


class TestAnswers:
    def test_streams_anthropics_events_in_order(self, fake: FakeBedrock) -> None:
        events = stream(fake, ask("good morning"))
        assert [event["type"] for event in events] == [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        assert events[0]["message"]["model"] == "claude-opus-5-5"
        assert events[0]["message"]["id"].startswith("msg_bdrk_")
        text = "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
        assert text == "Hello from the fake. You said: good morning"
        assert "amazon-bedrock-invocationMetrics" in events[-1]
        assert (model_of(fake.requests[0]), operation_of(fake.requests[0])) == (OPUS, STREAM)

    def test_answers_whole(self, fake: FakeBedrock) -> None:
        answer, data = post(fake, ask("[[say it]]"))
        message = json.loads(data)
        assert message["content"] == [{"type": "text", "text": "it"}]
        assert answer.getheader("content-type") == "application/json"
        assert answer.getheader("x-amzn-bedrock-output-token-count") == str(message["usage"]["output_tokens"])

    def test_thinks_and_calls_tools(self, fake: FakeBedrock) -> None:
        body = turn(messages=[{"role": "user", "content": '[[think]] [[tool Bash {"command":"ls"}]]'}])
        events = stream(fake, body)
        started = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
        assert started == ["thinking", "text", "tool_use"]
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        assert {"type": "signature_delta", "signature": SIGNATURE} in deltas
        assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"command": "ls"}
        message = json.loads(post(fake, body)[1])
        assert message["content"][0]["signature"] == SIGNATURE
        assert message["content"][-1]["id"].startswith("toolu_bdrk_")
        assert message["stop_reason"] == "tool_use"

    def test_is_slow_when_asked(self, fake: FakeBedrock) -> None:
        start = time.monotonic()
        events = stream(fake, ask("[[slow 5 0.05]]"))
        assert sum(event["type"] == "content_block_delta" for event in events) == 5
        assert time.monotonic() - start > 0.19

    def test_counts_tokens(self, fake: FakeBedrock) -> None:
        def count(body: object, model: str) -> tuple[http.client.HTTPResponse, bytes]:
            inner = base64.b64encode(json.dumps(body).encode()).decode()
            return post(fake, {"input": {"invokeModel": {"body": inner}}}, model=model, operation=COUNT)

        base = "anthropic.claude-opus-5-5"
        answer, data = count(ask("x" * 400), base)
        assert answer.status == 200
        assert 100 < json.loads(data)["inputTokens"] < 150
        assert b"doesn't support counting tokens" in count(ask(), OPUS)[1]
        assert b"tools: List should have at least 1 item" in count(ask(tools=[]), base)[1]
        assert b"model: Extra" in count(ask(model=base), base)[1]
        assert post(fake, {"input": {}}, model=base, operation=COUNT)[0].status == 400

    def test_converses_if_it_may(self) -> None:
        with FakeBedrock(converse=True) as fake:
            request = {
                "messages": [{"role": "user", "content": [{"text": '[[think]] [[tool Bash {"a":1}]]'}]}],
                "toolConfig": {"tools": [{"toolSpec": {"name": "Bash", "inputSchema": {"json": {}}}}]},
            }
            answer = json.loads(post(fake, request, operation="converse")[1])
            assert answer["stopReason"] == "tool_use"
            assert answer["output"]["message"]["content"][-1]["toolUse"]["input"] == {"a": 1}
            data = post(fake, request, operation="converse-stream")[1]
            names = [headers[":event-type"] for headers, _ in messages_in(data)]
            assert (names[0], names[-2:]) == ("messageStart", ["messageStop", "metadata"])
            assert fake.violations == []

    @given(st.lists(st.tuples(st.text(min_size=1, max_size=20), st.text(max_size=50))), st.binary(max_size=200))
    def test_frames(self, headers: list[tuple[str, str]], payload: bytes) -> None:
        headers = list(dict(headers).items())
        assert list(messages_in(frame(headers, payload) * 2)) == [(dict(headers), payload)] * 2
