"""What people do with Anthropic's SDK for Python; prints what came of it as JSON."""

import json

from anthropic import Anthropic, beta_tool
from pydantic import BaseModel

MODEL = "claude-opus-4-8"
TOOL = '[[tool add {"a": 40, "b": 2}]]'


class Lake(BaseModel):
    """Something to be read from an answer."""

    name: str
    depth: int


@beta_tool
def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return str(a + b)


def text_of(message) -> str:
    """Return the text of a message."""
    return "".join(block.text for block in message.content if block.type == "text")


client = Anthropic(max_retries=0)
asked = {"model": MODEL, "max_tokens": 500}
said = {}
hello = [{"role": "user", "content": "good morning"}]
said["create"] = text_of(client.messages.create(**asked, messages=hello))
with client.messages.stream(**asked, messages=hello) as stream:
    said["stream"] = "".join(stream.text_stream)
said["tokens"] = client.messages.count_tokens(model=MODEL, messages=hello).input_tokens > 0
parsed = client.messages.parse(**asked, messages=[{"role": "user", "content": "a lake"}], output_format=Lake)
said["parse"] = parsed.parsed_output.model_dump()
for name, more in {"runner": {}, "streaming runner": {"stream": True}}.items():
    runner = client.beta.messages.tool_runner(
        **asked, tools=[add], messages=[{"role": "user", "content": TOOL}], **more
    )
    said[name] = text_of(runner.until_done())
print(json.dumps(said))
