"""An MCP server on stdin and stdout with 120 tools, each of which doubles a number."""

import json
import sys

SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
TOOLS = [
    {"name": f"double_{n:03}", "description": f"Double a number, in the manner of {n}. " * 8, "inputSchema": SCHEMA}
    for n in range(1, 121)
]


def answer(method: str, given: dict) -> dict:
    """Return the result of a request."""
    match method:
        case "initialize":
            about = {"name": "many", "version": "1"}
            return {"protocolVersion": given["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
        case "tools/list":
            return {"tools": TOOLS}
        case "tools/call":
            doubled = 2 * given["arguments"]["number"]
            return {"content": [{"type": "text", "text": f"{given['name']} says {doubled}"}]}
        case _:
            return {}


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request and "method" in request:  # neither a notification nor an answer
        result = answer(request["method"], request.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
