// What people do with OpenAI's SDK for node; prints what came of it as JSON.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ maxRetries: 0 });
const chat = client.chat.completions;
const asked = { model: "claude-opus-4-8", max_tokens: 500 };
const hello = [{ role: "user", content: "good morning" }];
const said = {};
said.create = (await chat.create({ ...asked, messages: hello })).choices[0].message.content;
said.stream = "";
for await (const chunk of await chat.create({ ...asked, messages: hello, stream: true })) {
  said.stream += chunk.choices[0]?.delta?.content ?? "";
}
const parsed = await chat.parse({
  ...asked,
  messages: [{ role: "user", content: "a lake" }],
  response_format: zodResponseFormat(z.object({ name: z.string(), depth: z.int() }), "lake"),
});
said.parse = parsed.choices[0].message.parsed;
const add = zodFunction({
  name: "add",
  parameters: z.object({ a: z.int(), b: z.int() }),
  function: ({ a, b }) => String(a + b),
});
const messages = [{ role: "user", content: '[[tool add {"a": 40, "b": 2}]]' }];
said.runner = await chat.runTools({ ...asked, messages, tools: [add] }).finalContent();
said["streaming runner"] = await chat.runTools({ ...asked, messages, tools: [add], stream: true }).finalContent();
console.log(JSON.stringify(said));
