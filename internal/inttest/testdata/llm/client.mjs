// OpenAI's client for Node and the gateway: client.mjs URL KEY PACKAGES. It says ok,
// or fails.
import assert from "node:assert";
import { createRequire } from "node:module";

const [url, key, packages] = process.argv.slice(2);
const { default: OpenAI } = createRequire(packages + "/")("openai");
const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];

const ids = [];
for await (const m of client.models.list()) ids.push(m.id);
assert.deepEqual(ids, ["chat", "embed", "scripted"]);

const whole = await client.chat.completions.create({ model: "chat", messages, max_tokens: 12, temperature: 0 });
assert.equal(whole.usage.completion_tokens, 12);
let text = "";
for await (const c of await client.chat.completions.create({ model: "chat", messages, max_tokens: 12, temperature: 0, stream: true })) {
  assert.equal(c.usage, undefined);
  text += c.choices[0].delta.content ?? "";
}
assert.equal(text, whole.choices[0].message.content);

const schema = { type: "object", properties: { mood: { enum: ["good", "bad"] } }, required: ["mood"], additionalProperties: false };
const shaped = await client.chat.completions.create({
  model: "chat", messages, max_tokens: 100, response_format: { type: "json_schema", json_schema: { name: "a", strict: true, schema } },
});
assert.ok(["good", "bad"].includes(JSON.parse(shaped.choices[0].message.content).mood));

const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
const runner = client.chat.completions.stream({ model: "scripted", messages, tools });
const called = (await runner.finalMessage()).tool_calls[0].function;
assert.equal(called.name, "weather");
assert.deepEqual(JSON.parse(called.arguments), { city: "Zürich" });

// It asks for the numbers in base64 and decodes them.
const vectors = await client.embeddings.create({ model: "embed", input: "one" });
assert.equal(vectors.data[0].embedding.length, 64);
const response = await client.responses.create({ model: "chat", input: "hi", max_output_tokens: 5 });
assert.equal(response.usage.output_tokens, 5);

const refused = (status, code, call) => assert.rejects(call, (e) => e.status === status && (!code || e.code === code));
await refused(404, "model_not_found", () => client.chat.completions.create({ model: "none", messages }));
await refused(400, undefined, () => client.chat.completions.create({ model: "chat", messages: 4 }));
await refused(401, "invalid_api_key", () => new OpenAI({ baseURL: url, apiKey: "wrong", maxRetries: 0 }).models.list());
await refused(429, "rate_limit_exceeded", () => new OpenAI({ baseURL: url, apiKey: "poor", maxRetries: 0 }).chat.completions.create({ model: "chat", messages }));
await assert.rejects(async () => {
  for await (const _ of await client.chat.completions.create({ model: "scripted", messages, stream: true, user: "break off" }));
}, /broke off/);

for (const model of ["chat", "scripted"]) {
  const stream = await client.chat.completions.create({ model, messages, max_tokens: 1900, stream: true, user: "leaves" });
  for await (const _ of stream) break;
}
console.log("ok");
