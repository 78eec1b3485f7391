// What one caller may take of the gateway: rates, bodies, and reads for tokens of nothing.
import assert from "node:assert/strict";
import test from "node:test";
import { start, until, upload } from "./harness.mjs";

const FLAG = { type: "boolean", variants: { on: true, off: false }, off: "off", client: true, default: "on" };
const DOCUMENT = { project: "p", environments: { e: { flags: { f: FLAG } } } };

async function prepared(t, options) {
  const gateway = await start({ t, ...options });
  await gateway.import(DOCUMENT);
  const token = (kind, role) => gateway.token("p", "e", kind, role);
  const [client, server] = [await token("client"), await token("server")];
  const from = (address) => ({ headers: { "cf-connecting-ip": address } });
  await until(async () => (await gateway.evaluate(client, "f", {}, from("203.0.113.200"))).status === 200, 8_000, 1_000);
  return { gateway, client, server, token, from };
}

/** Asks until the answer is 429, which must come within `most` requests; gives it and how many were answered. */
async function untilLimited(ask, most = 100) {
  for (let answered = 0; answered < most; answered += 1) {
    const answer = await ask();
    if (answer.status === 429) return { ...answer, answered };
    assert.ok(answer.status < 300, `${answer.status} ${answer.text}`);
  }
  return assert.fail(`${most} requests were answered`);
}

function assertWholeSeconds({ headers }) {
  assert.match(headers.get("retry-after"), /^[1-9]\d*$/);
}

test("a client token is limited for each address, in the protocol's form", async (t) => {
  const { gateway, client, from } = await prepared(t, { rates: { RATE_CLIENT: 20 } });
  const one = () => gateway.evaluate(client, "f", {}, from("203.0.113.1"));
  const limited = await untilLimited(one);
  assert.ok(limited.answered >= 10, `only ${limited.answered} were answered`);
  assertWholeSeconds(limited);
  assert.deepEqual([limited.body.key, limited.body.errorCode], ["f", "GENERAL"]);
  assert.equal((await gateway.evaluate(client, undefined, {}, from("203.0.113.1"))).status, 429);
  const events = await gateway.as(client)("POST", "/v1/events", { events: [] }, from("203.0.113.1").headers);
  assert.deepEqual([events.status, events.body.type], [429, "urn:headgate:problem:too-many-requests"]);
  assertWholeSeconds(events);
  assert.equal((await gateway.evaluate(client, "f", {}, from("203.0.113.2"))).status, 200, "another install is not meant");
});

test("server and admin tokens are limited by themselves, wherever they come from", async (t) => {
  const { gateway, client, server, token, from } = await prepared(t, { rates: { RATE_SERVER: 60 } });
  let address = 0;
  const next = () => from(`203.0.113.${(address += 1)}`);
  const limited = await untilLimited(() => gateway.evaluate(server, "f", {}, next()), 200);
  assert.ok(limited.answered >= 40, `only ${limited.answered} were answered`);
  assertWholeSeconds(limited);
  assert.equal((await gateway.evaluate(client, "f", {}, next())).status, 200);

  const viewer = gateway.as(await token("admin", "viewer"));
  const path = "/v1/projects/p/environments/e/flags";
  const admin = await untilLimited(() => viewer("GET", path), 200);
  assertWholeSeconds(admin);
  assert.equal(admin.body.type, "urn:headgate:problem:too-many-requests");
  assert.equal((await gateway.api("GET", path)).status, 200, "others are not meant");
  assert.equal((await gateway.ask("/health")).status, 200);
});

test("above the ceiling of all together events are refused, evaluations are not", async (t) => {
  const { gateway, client, server, from } = await prepared(t, { rates: { RATE_DEPLOYMENT: 40 } });
  const post = () => gateway.as(client)("POST", "/v1/events", { events: [] }, from("203.0.113.1").headers);
  const refused = await untilLimited(post, 200);
  assert.equal(refused.body.type, "urn:headgate:problem:too-many-requests");
  assert.match(refused.body.detail, /events/);
  assertWholeSeconds(refused);
  for (let more = 0; more < 20; more += 1) {
    assert.equal((await gateway.evaluate(client, "f", {}, from("203.0.113.1"))).status, 200);
    assert.equal((await gateway.evaluate(server, "f")).status, 200);
  }
});

test("a context over its bound is refused, unread when it says its length", async (t) => {
  const { gateway, server } = await prepared(t);
  const bound = 64 * 1024;
  const url = `${gateway.url}/ofrep/v1/evaluate/flags/f`;
  const headers = { authorization: `Bearer ${server}`, "content-type": "application/json" };
  const padded = (size) => JSON.stringify({ context: {} }).padEnd(size);
  for (const answer of [
    await upload(url, { ...headers, "content-length": bound + 1 }),
    await upload(url, headers, [padded(bound), " "]),
  ]) {
    assert.deepEqual([answer.status, answer.body.key, answer.body.errorCode], [413, "f", "GENERAL"], answer.text);
  }
  const just = await upload(url, headers, [padded(bound)]);
  assert.deepEqual([just.status, just.body.value], [200, true]);
  const deep = `{"context":{"a":${"[".repeat(40)}${"]".repeat(40)}}}`;
  const nested = await gateway.ask("/ofrep/v1/evaluate/flags/f", { method: "POST", headers, body: deep });
  assert.deepEqual([nested.status, nested.body.errorCode], [400, "PARSE_ERROR"]);
});

test("a token of an environment that is not there costs one read, not one for each request", async (t) => {
  const elsewhere = await start({ t });
  await elsewhere.import({ project: "made-up", environments: { e: {} } });
  const token = await elsewhere.token("made-up", "e", "client");
  const gateway = await start({ t, faults: true });
  await gateway.fault({});
  const first = await gateway.evaluate(token, "f");
  assert.equal(first.status, 401);
  const before = await gateway.calls();
  assert.ok(before.POINTER >= 1, JSON.stringify(before));
  const from = Date.now();
  const answers = await Promise.all(Array.from({ length: 50 }, () => gateway.evaluate(token, "f")));
  assert.deepEqual([...new Set(answers.map(({ status, text }) => `${status} ${text}`))], [`401 ${first.text}`]);
  assert.ok(Date.now() - from < 2_500, "within the time for which it is remembered");
  const { POINTER, ENVIRONMENT, SNAPSHOTS } = await gateway.calls();
  assert.deepEqual([POINTER, ENVIRONMENT, SNAPSHOTS], [before.POINTER, before.ENVIRONMENT, before.SNAPSHOTS]);
});
