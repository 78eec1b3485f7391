// Writers that a power cut interrupts, and what must be there afterwards. Used by the test beside
// it, and by bench/durability with ten times as much.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startProcess, until } from "./harness.mjs";

const BASE = "/v1/projects/ledger/environments/e";
/** The server is killed at a random moment of this many after enough is acknowledged, ms. */
const CUT_WITHIN = 100;
/** Requests on their way at the same time. */
const AT_ONCE = 1_000;

const flag = (value) => ({ type: "integer", variants: { v: value, none: 0 }, off: "none", client: true, default: "v" });

function writeDocument(folder, keys) {
  const path = join(folder, "ledger.json");
  const flags = Object.fromEntries(keys.map((key) => [key, flag(0)]));
  writeFileSync(path, JSON.stringify({ project: "ledger", environments: { e: { flags } } }));
  return path;
}

/** Every item of a list, newest first. */
async function all(api, path) {
  const items = [];
  for (let after = ""; after !== undefined; ) {
    const { status, body, text } = await api("GET", `${path}?limit=200${after && `&after=${after}`}`);
    assert.equal(status, 200, text);
    items.push(...body.items);
    after = body.next;
  }
  return items;
}

/**
 * One writer: puts its value with the entity tag that it knows, and again with the current one when
 * another was faster, until it is acknowledged or the server is gone. Gives the revision, and adds
 * to `latencies` how long each answered request took, ms.
 */
async function put(api, key, value, latencies = []) {
  let etag = '"1-1"';
  for (;;) {
    const from = performance.now();
    const answer = await api("PUT", `${BASE}/flags/${key}`, flag(value), { "if-match": etag }).catch(() => null);
    if (answer === null) return null;
    latencies.push(performance.now() - from);
    if (answer.status === 200) return Number(answer.etag.match(/-(\d+)"$/)[1]);
    if (answer.status === 429) await new Promise((resolve) => setTimeout(resolve, 1_000));
    else assert.equal(answer.status, 412, answer.text);
    etag = answer.etag ?? etag;
  }
}

/** Starts every writer, and calls `cut` when `enough` of them are acknowledged; gives the acknowledged. */
async function write(api, { writes, keys, enough, cut }) {
  const acknowledged = [];
  const latencies = [];
  const waiting = Array.from({ length: writes }, (_, index) => ({ key: keys[index % keys.length], value: index + 1 }));
  const lane = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const revision = await put(api, next.key, next.value, latencies);
      if (revision === null) return;
      acknowledged.push({ ...next, revision });
      if (acknowledged.length === enough) cut();
    }
  };
  await Promise.all(Array.from({ length: Math.min(writes, AT_ONCE) }, lane));
  return { acknowledged, latencies };
}

/** Asserts that versions, history and audit hold every acknowledged write once, and agree. */
async function check(api, acknowledged, keys) {
  const versions = (await all(api, `${BASE}/versions`)).toReversed();
  assert.deepEqual(versions.map(({ version }) => version), versions.map((_, index) => index + 1), "no gaps");

  const audit = (await all(api, `${BASE}/audit`)).toReversed();
  assert.deepEqual(audit.map(({ sequence }) => sequence), audit.map((_, index) => index + 1));
  let previous = "0".repeat(64);
  for (const { hash, ...entry } of audit) {
    assert.equal(entry.previous, previous, `entry ${entry.sequence} follows the one before`);
    assert.equal(createHash("sha256").update(JSON.stringify(entry)).digest("hex"), hash, `entry ${entry.sequence}`);
    previous = hash;
  }
  const updates = audit.filter(({ action }) => action === "update");
  const known = versions.filter(({ action }) => action === "update");
  assert.deepEqual(
    updates.map(({ version, entity }) => [version, entity]),
    known.map(({ version, entity }) => [version, entity]),
    "one entry for each version",
  );

  // Of each flag: the values in the order of their revisions, the first is the import's.
  const written = new Map(keys.map((key) => [key, [0]]));
  for (const { entity, before, after } of updates) {
    const values = written.get(entity.slice("flags/".length));
    assert.equal(before.variants.v, values.at(-1), `${entity}: what it was before is what was written last`);
    values.push(after.variants.v);
  }
  for (const [key, values] of written) assert.equal(new Set(values).size, values.length, `${key}: nothing twice`);
  for (const { key, value, revision } of acknowledged) {
    assert.equal(written.get(key)[revision - 1], value, `${key}, revision ${revision}: acknowledged and there`);
  }
  for (const key of keys.slice(0, 10)) {
    const { body, etag } = await api("GET", `${BASE}/flags/${key}`);
    assert.deepEqual([body.variants.v, etag], [written.get(key).at(-1), `"1-${written.get(key).length}"`], key);
  }
  return written;
}

/** Asserts that readers are given what was written last. */
async function checkReaders(server, written) {
  const { server: token } = server.ready.environments["ledger/e"];
  await until(async () => {
    const { status, body, text } = await server.ask("/ofrep/v1/evaluate/flags", {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: "{}",
    });
    assert.equal(status, 200, text);
    for (const { key, value } of body.flags) assert.equal(value, written.get(key).at(-1), key);
    return body.flags.length === written.size;
  }, 15_000);
}

/**
 * Lets `writes` writers loose on `keys` flags, kills the server soon after `enough` are acknowledged,
 * starts it again on the same state and checks everything. Gives what happened.
 */
export async function durability({ t, folder, writes, keys: count, enough }) {
  const keys = Array.from({ length: count }, (_, index) => `k${index}`);
  const options = { t, state: join(folder, "state"), documents: [writeDocument(folder, keys)] };
  const first = await startProcess(options);
  const from = performance.now();
  // Not at the very answer: a write that is stored and not yet acknowledged is the one to look at.
  const cut = () => setTimeout(first.kill, Math.random() * CUT_WITHIN);
  const { acknowledged, latencies } = await write(first.api, { writes, keys, enough, cut });
  const took = performance.now() - from;
  assert.equal(await first.exited, "SIGKILL");
  assert.ok(acknowledged.length >= enough && acknowledged.length < writes, `${acknowledged.length} of ${writes}`);

  const second = await startProcess(options);
  const written = await check(second.api, acknowledged, keys);
  await checkReaders(second, written);
  const stored = [...written.values()].reduce((sum, values) => sum + values.length - 1, 0);
  const next = await put(second.api, keys[0], writes + 1);
  assert.equal(next, written.get(keys[0]).length + 1, "and it goes on");
  await second.stop();
  return { acknowledged: acknowledged.length, stored, latencies, perSecond: (acknowledged.length / took) * 1_000 };
}
