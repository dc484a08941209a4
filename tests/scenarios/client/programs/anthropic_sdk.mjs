// What people do with Anthropic's SDK for TypeScript; prints what came of it as JSON.
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

const client = new Anthropic({ maxRetries: 0 });
const asked = { model: "claude-opus-4-8", max_tokens: 500 };
const hello = [{ role: "user", content: "good morning" }];
const textOf = (message) => message.content.filter((b) => b.type === "text").map((b) => b.text).join("");
const add = betaZodTool({
  name: "add",
  description: "Add two numbers.",
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }) => String(a + b),
});
const said = {};
said.create = textOf(await client.messages.create({ ...asked, messages: hello }));
said.stream = await client.messages.stream({ ...asked, messages: hello }).finalText();
said.tokens = (await client.messages.countTokens({ model: asked.model, messages: hello })).input_tokens > 0;
const parsed = await client.messages.parse({
  ...asked,
  messages: [{ role: "user", content: "a lake" }],
  output_config: { format: zodOutputFormat(z.object({ name: z.string(), depth: z.int() })) },
});
said.parse = parsed.parsed_output;
for (const [name, more] of Object.entries({ runner: {}, "streaming runner": { stream: true } })) {
  const runner = client.beta.messages.toolRunner({
    ...asked,
    messages: [{ role: "user", content: '[[tool add {"a": 40, "b": 2}]]' }],
    tools: [add],
    ...more,
  });
  said[name] = textOf(await runner.runUntilDone());
}
console.log(JSON.stringify(said));
