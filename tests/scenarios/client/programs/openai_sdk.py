"""What people do with OpenAI's SDK for Python; prints what came of it as JSON."""

import json

from openai import OpenAI
from pydantic import BaseModel

MODEL = "claude-opus-4-8"
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    },
}


class Lake(BaseModel):
    """Something to be read from an answer."""

    name: str
    depth: int


client = OpenAI(max_retries=0)
chat = client.chat.completions
asked = {"model": MODEL, "max_tokens": 500}
hello = [{"role": "user", "content": "good morning"}]
said = {}
said["create"] = chat.create(**asked, messages=hello).choices[0].message.content
chunks = chat.create(**asked, messages=hello, stream=True)
said["stream"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
parsed = chat.parse(**asked, messages=[{"role": "user", "content": "a lake"}], response_format=Lake)
said["parse"] = parsed.choices[0].message.parsed.model_dump()
messages = [{"role": "user", "content": '[[tool add {"a": 40, "b": 2}]]'}]
wanted = chat.create(**asked, messages=messages, tools=[ADD]).choices[0]
said["finish"] = wanted.finish_reason
messages.append(wanted.message.model_dump(exclude_none=True))
for call in wanted.message.tool_calls:
    given = json.loads(call.function.arguments)
    messages.append({"role": "tool", "tool_call_id": call.id, "content": str(given["a"] + given["b"])})
said["runner"] = chat.create(**asked, messages=messages, tools=[ADD]).choices[0].message.content
print(json.dumps(said))
