// What must not be taken for success: a refusal of an object that only this code talks to, and a
// pointer that came from KV because the control plane was silent.
import assert from "node:assert/strict";
import test from "node:test";
import { OWNER_TOKEN, start, until } from "./harness.mjs";

const BOOLEAN = { type: "boolean", variants: { off: false, on: true }, off: "off", client: true, default: "on" };
const DOCUMENT = { project: "p", environments: { e: { flags: { f: BOOLEAN } } } };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test("a message that the ledger refuses comes again", async (t) => {
  const gateway = await start({ t });
  const good = JSON.stringify({ environment: "p/e", received: 1, events: [{ type: "exposure", unit: "u", name: "f" }] });
  const result = await gateway.deliver([good, JSON.stringify({ environment: "p/e" })]);
  assert.deepEqual(result.explicitAcks, ["m0"]);
  assert.deepEqual(result.retryMessages.map(({ msgId }) => msgId), ["m1"]);
});

test("while the pointer object is away, one request in two seconds waits for it", async (t) => {
  const gateway = await start({ t, faults: true, cache: false });
  await gateway.import(DOCUMENT);
  const token = await gateway.token("p", "e", "client");
  await until(async () => (await gateway.evaluate(token, "f")).status === 200, 8_000);
  await until(async () => (await gateway.kv()).get("current/p.e"), 8_000);
  await gateway.fault({ objects: { fail: true, only: ["POINTER"] } });
  await pause(6_000);
  const taken = [];
  for (let index = 0; index < 4; index += 1) {
    const since = Date.now();
    assert.equal((await gateway.evaluate(token, "f")).status, 200);
    taken.push(Date.now() - since);
  }
  t.diagnostic(taken.join(" "));
  assert.ok(taken.filter((ms) => ms > 500).length <= 1, taken.join(" "));
  assert.equal((await gateway.ask("/health")).body.status, "degraded");
});

test("bytes that are no UTF-8 are refused, not mended", async (t) => {
  const gateway = await start({ t });
  await gateway.import(DOCUMENT);
  const put = (bytes) => {
    const headers = { authorization: `Bearer ${OWNER_TOKEN}`, "content-type": "application/json" };
    return gateway.ask("/v1/projects/p/environments/e/flags/g", { method: "PUT", headers, body: bytes });
  };
  const described = (...bytes) => {
    const [head, tail] = JSON.stringify({ ...BOOLEAN, description: "*" }).split("*").map((text) => Buffer.from(text));
    return Buffer.concat([head, Buffer.from(bytes), tail]);
  };
  const { status, body } = await put(described(0x62, 0xff));
  assert.deepEqual([status, body.type], [400, "urn:headgate:problem:not-json"]);
  assert.equal((await put(described(0xc3, 0xa9))).status, 201);
});
