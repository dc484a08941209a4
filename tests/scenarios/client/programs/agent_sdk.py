"""What people do with the Claude Agent SDK for Python; prints what came of it as JSON."""

import asyncio
import json
import os
import sys

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    create_sdk_mcp_server,
    query,
    tool,
)


@tool("add", "Add two numbers", {"a": int, "b": int})
async def add(given):
    """Add two numbers."""
    return {"content": [{"type": "text", "text": str(given["a"] + given["b"])}]}


async def main() -> None:
    """Ask once, then hold a conversation of two turns with a tool of our own."""
    options = {"cli_path": sys.argv[1], "env": dict(os.environ), "setting_sources": []}
    said = {}
    async for message in query(prompt="good morning", options=ClaudeAgentOptions(**options)):
        if isinstance(message, ResultMessage):
            said["query"] = message.result
    server = create_sdk_mcp_server("sums", tools=[add])
    talking = ClaudeAgentOptions(**options, mcp_servers={"sums": server}, allowed_tools=["mcp__sums__add"])
    async with ClaudeSDKClient(talking) as client:
        for name, prompt in {
            "tool": '[[tool ToolSearch {"query": "select:mcp__sums__add"}]] [[tool mcp__sums__add {"a": 40, "b": 2}]]',
            "turn": "good night",
        }.items():
            await client.query(prompt)
            async for message in client.receive_response():
                if isinstance(message, ResultMessage):
                    said[name] = message.result
    print(json.dumps(said))


asyncio.run(main())
