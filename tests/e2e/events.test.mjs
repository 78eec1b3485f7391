// Events: into the queue, out of the consumer, counted once; and what happens when a part of that
// is away, or a message is poison.
import assert from "node:assert/strict";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { start, until, upload } from "./harness.mjs";

const FLAG = { type: "boolean", variants: { on: true, off: false }, off: "off", client: true, default: "on" };
const ORIGIN = "https://shop.example";
const DOCUMENT = { project: "p", environments: { e: { settings: { origins: [ORIGIN] }, flags: { f: FLAG } } } };

const exposure = (unit) => ({ type: "exposure", unit, flag: "f" });
const conversion = (id, value = 1) => ({ type: "conversion", id, unit: "u-1", metric: "order", value });

async function prepared(t, options) {
  const gateway = await start({ t, ...options });
  await gateway.import(DOCUMENT);
  const token = await gateway.token("p", "e", "client");
  await until(async () => (await gateway.evaluate(token, "f")).status === 200, 8_000);
  const post = (body, headers = {}) =>
    gateway.ask("/v1/events", { method: "POST", headers: { authorization: `Bearer ${token}`, ...headers }, body });
  /** Events that are counted, by type. */
  const counted = async () => {
    const { text } = await gateway.api("GET", "/metrics");
    const lines = text.matchAll(/^headgate_events\{environment="p\/e",type="(\w+)"\} (\d+)$/gm);
    return Object.fromEntries(Array.from(lines, ([, type, count]) => [type, Number(count)]));
  };
  const untilCounted = (expected) =>
    until(async () => {
      const found = await counted();
      assert.deepEqual(found, { conversion: 0, exposure: 0, measurement: 0, ...expected });
      return true;
    }, 8_000);
  return { gateway, token, post, send: (events, headers) => post(JSON.stringify({ events }), headers), counted, untilCounted };
}

test("a batch goes into the queue and out of it into the metrics", async (t) => {
  const { post, send, untilCounted } = await prepared(t);
  const first = await send([exposure("u-1"), conversion("c-1", 12.5), { type: "measurement", id: "m-1", unit: "u-1", metric: "latency", value: 80 }]);
  assert.deepEqual([first.status, first.body], [202, { accepted: 3, rejected: [] }]);
  await untilCounted({ exposure: 1, conversion: 1, measurement: 1 });

  const packed = gzipSync(JSON.stringify({ events: [exposure("u-2")] }));
  assert.equal((await post(packed, { "content-encoding": "gzip" })).status, 202);
  const mixed = await send([exposure("u-3"), { type: "click" }, { ...conversion("c-2"), value: "much" }]);
  assert.equal(mixed.status, 202);
  assert.equal(mixed.body.accepted, 1);
  assert.deepEqual(
    mixed.body.rejected.map(({ index, problems }) => [index, problems[0].pointer]),
    [
      [1, "/events/1/type"],
      [2, "/events/2/value"],
    ],
  );
  await untilCounted({ exposure: 3, conversion: 1, measurement: 1 });
});

test("a message that is delivered twice counts once", async (t) => {
  const { gateway, untilCounted } = await prepared(t);
  const message = JSON.stringify({ environment: "p/e", received: 1, events: [{ type: "exposure", unit: "u", name: "f" }] });
  for (let delivery = 0; delivery < 3; delivery += 1) {
    assert.deepEqual((await gateway.deliver([message])).explicitAcks, ["m0"]);
  }
  await untilCounted({ exposure: 1 });
});

test("without the queue the answer is 503, and nothing is lost when it is sent again", async (t) => {
  const { gateway, send, untilCounted } = await prepared(t, { faults: true });
  await gateway.fault({ queue: { fail: true } });
  const refused = await send([exposure("u-1")], { origin: ORIGIN });
  assert.deepEqual([refused.status, refused.body.type], [503, "urn:headgate:problem:unavailable"]);
  assert.match(refused.headers.get("retry-after"), /^[1-9]\d*$/);
  assert.equal(refused.headers.get("content-type"), "application/problem+json");
  assert.equal(refused.headers.get("access-control-allow-origin"), ORIGIN, "a browser may read it");
  assert.equal(refused.headers.get("x-content-type-options"), "nosniff");
  await gateway.fault({});
  assert.equal((await send([exposure("u-1")])).status, 202);
  await untilCounted({ exposure: 1 });
});

test("without the ledger a message comes again until it is counted", async (t) => {
  const { gateway, send, counted, untilCounted } = await prepared(t, { faults: true, queue: { retryDelay: 1 } });
  await gateway.fault({ objects: { fail: true, only: ["LEDGER"] } });
  assert.equal((await send([exposure("u-1")])).status, 202);
  await until(() => gateway.logs.some(({ message }) => message.includes("injected fault: LEDGER")));
  assert.deepEqual(await counted(), {});
  await gateway.fault({});
  await untilCounted({ exposure: 1 });
});

test("a poison message is retried, then put aside, and holds up no other", async (t) => {
  const { gateway, send, untilCounted } = await prepared(t);
  const good = JSON.stringify({ environment: "p/e", received: 1, events: [{ type: "exposure", unit: "u", name: "f" }] });
  const poison = ["{", '{"environment":"p/e"}', '{"environment":"p/e","received":1,"events":[{"type":"click"}]}'];
  const batch = await gateway.deliver([good, ...poison]);
  assert.equal(batch.outcome, "ok");
  assert.deepEqual(batch.explicitAcks, ["m0"]);
  assert.deepEqual(batch.retryMessages.map(({ msgId }) => msgId), ["m1", "m2", "m3"], "what was not counted is not lost");

  for (const message of poison) await gateway.enqueue(message);
  assert.equal((await send([exposure("u-2")])).status, 202);
  await untilCounted({ exposure: 2 });
  const dead = await until(async () => {
    const found = await gateway.deadLetters();
    return found.length === poison.length && found;
  }, 10_000);
  assert.deepEqual(dead.toSorted(), poison.toSorted());
});

test("a batch has its limits", async (t) => {
  const { gateway, token, post, send } = await prepared(t);
  const problem = ({ status, body, text }, expected, slug) =>
    assert.deepEqual([status, body.type], [expected, `urn:headgate:problem:${slug}`], text);
  const many = (count) => Array.from({ length: count }, (_, index) => exposure(`u-${index}`));
  assert.deepEqual((await send(many(500))).body, { accepted: 500, rejected: [] });
  problem(await send(many(501)), 422, "invalid-document");
  problem(await send([{ type: "click" }]), 422, "invalid-document");
  problem(await post("{"), 400, "not-json");
  problem(await post('{"events":[],"more":1}'), 422, "invalid-document");
  problem(await post(JSON.stringify({ events: [exposure("u".repeat(300))] })), 422, "invalid-document");
  assert.equal((await send([])).status, 202, "nothing to say is no fault");

  const bound = 96 * 1024;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const url = `${gateway.url}/v1/events`;
  problem(await upload(url, { ...headers, "content-length": bound + 1 }), 413, "too-large");
  problem(await upload(url, headers, [" ".repeat(bound), " "]), 413, "too-large");
  problem(await post(gzipSync(" ".repeat(bound + 1)), { "content-encoding": "gzip" }), 413, "too-large");
  problem(await post(gzipSync(" ".repeat(bound)), { "content-encoding": "gzip" }), 400, "not-json");
  problem(await post("no gzip", { "content-encoding": "gzip" }), 400, "not-json");

  problem(await gateway.ask("/v1/events", { headers }), 405, "method-not-allowed");
  problem(await gateway.as("hgc_none")("POST", "/v1/events", { events: [] }), 401, "unauthenticated");
  problem(await gateway.api("POST", "/v1/events", { events: [] }), 401, "unauthenticated");
  problem(await send([exposure("u-1")], { origin: "https://elsewhere.example" }), 403, "forbidden");
});
