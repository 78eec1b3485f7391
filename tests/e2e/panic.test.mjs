// Panics, stack overflows and exhausted memory, made on purpose by a build that has them: in the
// hot path, in a Durable Object and in the queue's consumer. The request that meets one fails at
// once, those beside it are answered, the next one works, and nothing is half written.
import assert from "node:assert/strict";
import test from "node:test";
import { start, until } from "./harness.mjs";

const KINDS = ["panic", "overflow", "memory"];
const BOOLEAN = { type: "boolean", variants: { off: false, on: true }, off: "off", client: true, default: "on" };
const DOCUMENT = { project: "p", environments: { e: { flags: { f: BOOLEAN } } } };
const FLAGS = "/v1/projects/p/environments/e/flags";

async function prepared(t) {
  const gateway = await start({ t, deliberateFaults: true });
  await gateway.import(DOCUMENT);
  const token = await gateway.token("p", "e", "client");
  await until(async () => (await gateway.evaluate(token, "f")).status === 200, 8_000);
  return { gateway, token };
}

test("an answer without a core is in the path's form", async (t) => {
  const { gateway, token } = await prepared(t);
  const ask = (path, method) => {
    const headers = { authorization: `Bearer ${token}`, origin: "https://app.example" };
    return gateway.ask(`${path}?fault=panic`, { method, headers });
  };
  const single = await ask("/ofrep/v1/evaluate/flags/f%2Ex", "POST");
  const { errorDetails, ...rest } = single.body;
  assert.deepEqual([single.status, rest], [500, { key: "f.x", errorCode: "GENERAL", metadata: {} }]);
  assert.equal(single.headers.get("access-control-allow-origin"), "https://app.example");
  assert.ok(errorDetails.length > 0);
  const update = await ask("/v1/update", "GET");
  assert.deepEqual([update.status, update.headers.get("content-type"), update.body.status], [500, "application/problem+json", 500]);
});

/** What a promise came to, within a second: a hang is a failure. */
async function soon(promise) {
  const late = new Promise((resolve) => setTimeout(resolve, 3_000, "late"));
  const settled = promise.then(
    ({ status }) => status,
    () => "failed",
  );
  return Promise.race([settled, late]);
}

for (const kind of KINDS) {
  test(`the hot path: ${kind}`, async (t) => {
    const { gateway, token } = await prepared(t);
    const broken = () => gateway.ask(`/ofrep/v1/evaluate/flags?fault=${kind}`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
    const beside = Array.from({ length: 20 }, (_, index) => (index === 7 ? broken() : gateway.evaluate(token, "f")));
    const statuses = await Promise.all(beside.map(soon));
    assert.equal(statuses[7], 500, "the request that met it fails");
    assert.deepEqual(statuses.toSpliced(7, 1), Array(19).fill(200), "those beside it are answered");
    assert.equal((await gateway.evaluate(token, "f")).status, 200, "the next one works");
  });

  test(`a Durable Object: ${kind}`, async (t) => {
    const { gateway } = await prepared(t);
    const path = `${FLAGS}/g-${kind}`;
    const broken = gateway.api("PUT", path, BOOLEAN, { "headgate-reason": `fault=${kind}` });
    const beside = Array.from({ length: 10 }, (_, index) => gateway.api("PUT", `${FLAGS}/beside-${index}`, BOOLEAN));
    assert.equal(await soon(broken), 503, "the request that met it fails");
    assert.deepEqual(await Promise.all(beside.map(soon)), Array(10).fill(201), "those beside it are answered");
    assert.equal((await gateway.api("GET", path)).status, 404, "nothing of it was written");
    assert.equal((await gateway.api("PUT", path, BOOLEAN)).status, 201, "the next one works");
  });

  test(`the queue's consumer: ${kind}`, async (t) => {
    const { gateway } = await prepared(t);
    const message = (mark) =>
      JSON.stringify({ environment: "p/e", received: 1, events: [{ type: "exposure", unit: mark, name: "f" }] });
    const result = await gateway.deliver([message("a"), message(`fault=${kind}`), message("b")]);
    assert.equal(result.outcome, "ok");
    assert.deepEqual(result.explicitAcks, ["m0", "m2"], "those beside it are taken");
    assert.deepEqual(result.retryMessages.map(({ msgId }) => msgId), ["m1"], "it comes again");
    const next = await gateway.deliver([message("c")]);
    assert.deepEqual(next.explicitAcks, ["m0"], "the next one works");
  });
}
