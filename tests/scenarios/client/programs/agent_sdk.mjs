// What people do with the Claude Agent SDK for TypeScript; prints what came of it as JSON.
import { createSdkMcpServer, query, tool } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";

const options = { pathToClaudeCodeExecutable: process.argv[2], settingSources: [] };
const add = tool("add", "Add two numbers", { a: z.number(), b: z.number() }, async ({ a, b }) => ({
  content: [{ type: "text", text: String(a + b) }],
}));
const said = {};
for await (const message of query({ prompt: "good morning", options })) {
  if (message.type === "result") said.query = message.result;
}

// A conversation: the second turn is sent when the first has its result.
let next;
const first = new Promise((resolve) => (next = resolve));
async function* turns() {
  const turn = (content) => ({ type: "user", message: { role: "user", content }, parent_tool_use_id: null });
  yield turn('[[tool ToolSearch {"query": "select:mcp__sums__add"}]] [[tool mcp__sums__add {"a": 40, "b": 2}]]');
  await first;
  yield turn("good night");
}
const talking = {
  ...options,
  mcpServers: { sums: createSdkMcpServer({ name: "sums", tools: [add] }) },
  allowedTools: ["mcp__sums__add"],
};
for await (const message of query({ prompt: turns(), options: talking })) {
  if (message.type !== "result") continue;
  said["tool" in said ? "turn" : "tool"] = message.result;
  next();
}
console.log(JSON.stringify(said));
