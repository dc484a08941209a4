"""What people do with LangChain's models of Anthropic and of OpenAI; prints what came of it as JSON."""

import json

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

MODEL = "claude-opus-4-8"


class Lake(BaseModel):
    """Something to be read from an answer."""

    name: str = Field(description="its name")
    depth: int = Field(description="in metres")


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def text_of(message) -> str:
    """Return the text of a message."""
    content = message.content
    return content if isinstance(content, str) else "".join(b.get("text", "") for b in content)


def used(model) -> dict:
    """Use one model in each way."""
    said = {"create": text_of(model.invoke("good morning"))}
    said["stream"] = "".join(text_of(chunk) for chunk in model.stream("good morning"))
    messages = [HumanMessage('[[tool add {"a": 40, "b": 2}]]')]
    with_tools = model.bind_tools([add])
    messages.append(with_tools.invoke(messages))
    for call in messages[-1].tool_calls:
        messages.append(ToolMessage(add.invoke(call["args"]), tool_call_id=call["id"]))
    said["runner"] = text_of(with_tools.invoke(messages))
    structured = model.with_structured_output(Lake, method="json_schema")
    said["parse"] = structured.invoke("a lake").model_dump()
    return said


anthropic = ChatAnthropic(model=MODEL, max_tokens=500, max_retries=0)
openai = ChatOpenAI(model=MODEL, max_tokens=500, max_retries=0)
print(json.dumps({"anthropic": used(anthropic), "openai": used(openai)}))
