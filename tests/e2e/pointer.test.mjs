// How changes reach isolates, and what isolates do when the control plane, KV or both are slow,
// failing or away.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { start, temporaryFolder, until } from "./harness.mjs";

const BASE = "/v1/projects/p/environments/e";
const FLAG = { type: "boolean", variants: { on: true, off: false }, off: "off", client: true, default: "on", salt: "s" };
const DOCUMENT = { project: "p", environments: { e: { flags: { f: FLAG } } } };
/** What no answer of a warm isolate may take, ms: far below the bounds of waiting. */
const AT_ONCE = 700;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function prepared(t, { warm = [0], ...options } = {}) {
  const gateway = await start({ t, faults: true, ...options });
  await gateway.import(DOCUMENT);
  const token = await gateway.token("p", "e", "client");
  const ask = async (isolate = 0) => {
    const from = Date.now();
    const answer = await gateway.evaluate(token, "f", { targetingKey: "u" }, { isolate });
    return { ...answer, took: Date.now() - from, value: answer.body.value, stale: answer.headers.get("headgate-stale") };
  };
  // Settled: nothing is on its way to the edge that a test did not send.
  await until(async () => (await gateway.api("GET", BASE)).body.publication.settled);
  for (const isolate of warm) await until(async () => (await ask(isolate)).status === 200, 8_000);
  return { gateway, token, ask, kill: () => gateway.api("POST", `${BASE}/flags/f/kill`) };
}

const off = (gateway) => gateway.api("PATCH", `${BASE}/flags/f`, { enabled: false });

describe("pointers and snapshots", { concurrency: 3 }, () => {
  test("a pointer out of the location's cache is as old as it was there", async (t) => {
    const { gateway, ask } = await prepared(t, { isolates: 2, warm: [] });
    const asked = Date.now();
    await until(async () => (await ask(0)).status === 200, 8_000);
    const known = Date.now();
    await gateway.fault({ objects: { fail: true, only: ["POINTER"] } });
    await pause(known + 2_200 - Date.now());
    const first = await ask(1);
    assert.deepEqual([first.status, first.stale], [200, null]);
    assert.equal((await gateway.calls(1)).POINTER, undefined, "it came from the location's cache");
    const { stale } = await until(async () => {
      const answer = await ask(1);
      return answer.stale !== null && answer;
    });
    const age = Date.now() - asked;
    assert.ok(Number(stale) >= 4, `stale by ${stale} s`);
    // Counting from its arrival it would have been fresh until 2.2 s later.
    assert.ok(Date.now() - known < 5_500, `said so after ${age} ms`);
  });

  test("a slow fill does not put an older pointer over a newer one", async (t) => {
    const { gateway, ask, kill } = await prepared(t, { isolates: 3, warm: [0, 1] });
    // What the location has is too old to be taken from here on.
    await pause(3_200);
    await gateway.fault({ objects: { late: 2_000, only: ["POINTER"] } }, 1);
    const asked = Date.now();
    const slow = await ask(1);
    assert.equal(slow.value, true);
    await pause(Math.max(0, asked + 200 - Date.now()));
    assert.equal((await kill()).status, 200);
    await until(async () => (await ask(0)).value === false);
    // Until after the slow answer nobody who knows better goes back to what it says.
    while (Date.now() < asked + 2_600) {
      assert.equal((await ask(0)).value, false);
      await pause(50);
    }
    await gateway.fault({}, 1);
    assert.equal((await ask(2)).value, false, "a third isolate, by the location's cache");
    await until(async () => (await ask(1)).value === false);
  });

  for (const [name, faults] of [
    ["6 s slow", { delay: 6_000 }],
    ["failing", { fail: true }],
  ]) {
    test(`with objects ${name}, a warm isolate waits for nothing and says how old it is`, async (t) => {
      const { gateway, ask } = await prepared(t, { isolates: 2 });
      await gateway.fault({ objects: { ...faults, only: ["POINTER", "ENVIRONMENT", "DIRECTORY"] } });
      const from = Date.now();
      let answer;
      let slowest = 0;
      while (Date.now() - from < 7_500) {
        answer = await ask();
        assert.deepEqual([answer.status, answer.value], [200, true]);
        slowest = Math.max(slowest, answer.took);
        await pause(25);
      }
      assert.ok(slowest < AT_ONCE, `an answer took ${slowest} ms`);
      assert.ok(Number(answer.stale) >= 5, `stale by ${answer.stale} s`);

      // A cold isolate has KV's copy, after a silence, and does not wait for it again.
      const cold = await ask(1);
      assert.deepEqual([cold.status, cold.value, cold.stale], [200, true, "unknown"]);
      assert.ok(cold.took < 3_000, `the first answer took ${cold.took} ms`);
      const second = await ask(1);
      assert.equal(second.status, 200);
      assert.ok(second.took < AT_ONCE, `the second answer took ${second.took} ms`);

      await gateway.fault({});
      await until(async () => (await ask()).stale === null && (await ask(1)).stale === null, 9_000);
    });
  }

  test("objects that were evicted or restarted go on where they were", async (t) => {
    const { gateway, ask, kill } = await prepared(t, { persist: temporaryFolder(t), cache: false });
    const evict = async () => {
      for (const [object, name] of [["PointerDo", "p/e"], ["EnvironmentDo", "p/e"], ["DirectoryDo", "directory"]]) {
        await gateway.evict(object, name);
      }
    };
    await gateway.api("GET", "/v1/projects");
    await evict();
    assert.equal((await kill()).status, 200);
    await until(async () => (await ask()).value === false);
    await gateway.api("GET", "/v1/projects");
    await evict();
    assert.equal((await ask()).value, false);
    const unkilled = await gateway.api("POST", `${BASE}/flags/f/unkill`);
    assert.equal(unkilled.body.changed, true);
    await until(async () => (await ask()).value === true);
    const { version, sequence } = (await off(gateway)) && (await gateway.api("GET", BASE)).body;
    await gateway.restart();
    const after = (await gateway.api("GET", BASE)).body;
    assert.deepEqual([after.version, after.sequence], [version, sequence]);
    await until(async () => (await ask()).value === false);
  });

  for (const [name, faults] of [
    ["empty", { none: true }],
    ["failing", { fail: true }],
    ["silent", { delay: 60_000 }],
  ]) {
    test(`with KV ${name}, a cold isolate is served by the objects`, async (t) => {
      const { gateway, ask } = await prepared(t, { isolates: 2, cache: false });
      await gateway.fault({ kv: faults });
      const cold = await ask(1);
      assert.deepEqual([cold.status, cold.value, cold.stale], [200, true, null]);
      assert.ok(cold.took < 4_000, `it took ${cold.took} ms`);
      // Changes reach isolates without KV as well.
      assert.equal((await off(gateway)).status, 200);
      await until(async () => (await ask(1)).value === false && (await ask(0)).value === false, 10_000);
    });
  }

  test("with everything away a cold isolate says so, in the protocol's form", async (t) => {
    const { gateway, token, ask } = await prepared(t, { isolates: 2, cache: false });
    await gateway.fault({ objects: { fail: true }, kv: { fail: true } }, 1);
    const answers = [await ask(1), await gateway.evaluate(token, undefined, {}, { isolate: 1 })];
    for (const { status, headers, body } of answers) {
      assert.deepEqual([status, body.errorCode], [503, "GENERAL"]);
      assert.match(body.errorDetails, /cannot be read/);
      assert.deepEqual(body.metadata, {});
      assert.match(headers.get("retry-after"), /^[1-9]\d*$/);
      assert.equal(headers.get("content-type"), "application/json");
    }
    assert.equal(answers[0].body.key, "f");
    const events = await gateway.as(token, 1)("POST", "/v1/events", { events: [] });
    assert.deepEqual([events.status, events.body.type], [503, "urn:headgate:problem:unavailable"]);
    assert.match(events.headers.get("retry-after"), /^[1-9]\d*$/);
    assert.equal((await ask(0)).status, 200, "who has something serves it");
    await gateway.fault({}, 1);
    await until(async () => (await ask(1)).status === 200);
  });

  test("a snapshot that cannot be read leaves the last good one in service, and health says so", async (t) => {
    const { gateway, ask } = await prepared(t, { isolates: 2, cache: false, warm: [0, 1] });
    const health = async () => (await gateway.ask("/health", {}, 1)).body;
    await gateway.fault({ objects: { fail: true, only: ["ENVIRONMENT"] } }, 1);
    assert.equal((await off(gateway)).status, 200);
    const { version } = await until(async () => {
      const { body } = await gateway.api("GET", BASE);
      return body.publication.settled && body;
    });
    const kv = await gateway.kv();
    const key = `snapshot/p.e/1/1.${version}`;
    assert.ok((await kv.get(key)).startsWith("{"), "the key is where snapshots are");
    await kv.put(key, JSON.stringify({ format: 2, incarnation: 1, version, novelty: [] }));
    const degraded = await until(async () => {
      assert.equal((await ask(1)).value, true, "the last good one serves");
      const found = await health();
      return found.status === "degraded" && found;
    }, 8_000);
    const condition = degraded.dependencies.find(({ name }) => name === "snapshot p/e");
    assert.match(condition.detail, /format 2/);
    assert.equal((await gateway.ask("/health/ready", {}, 1)).status, 200, "it still takes traffic");
    // The environment itself has a good one: it is asked as soon as it can be.
    await gateway.fault({}, 1);
    await until(async () => (await ask(1)).value === false, 8_000);
    assert.equal((await health()).status, "ok");
  });

  test("after a silence the first answer is of what was changed meanwhile", async (t) => {
    const { gateway, ask } = await prepared(t, { isolates: 2, warm: [0, 1] });
    assert.equal((await off(gateway)).status, 200);
    await until(async () => (await gateway.api("GET", BASE)).body.publication.settled);
    // Nobody asks until the pointer is of an age that is waited for.
    await pause(5_000);
    assert.equal((await ask(0)).value, false);
    await gateway.fault({ objects: { delay: 60_000, only: ["ENVIRONMENT"] }, kv: { delay: 60_000 } }, 1);
    // The location's cache has what the first isolate read.
    assert.equal((await ask(1)).value, false);
    await gateway.api("PATCH", `${BASE}/flags/f`, { enabled: true });
    await until(async () => (await gateway.api("GET", BASE)).body.publication.settled);
    await pause(5_000);
    const answers = await Promise.all([ask(1), ask(1), ask(1)]);
    assert.deepEqual(answers.map(({ value }) => value), [false, false, false], "there is no newer one to be had");
    assert.ok(answers.every(({ took }) => took < 2_500), `they do not wait for long: ${answers.map(({ took }) => took)}`);
    const next = await ask(1);
    assert.ok(next.took < AT_ONCE, `and who comes next does not wait: ${next.took}`);
  });

  test("what could not be published is published when it can be", async (t) => {
    const { gateway, ask } = await prepared(t, { cache: false });
    await gateway.fault({ objects: { fail: true, only: ["POINTER"] }, kv: { fail: true, only: ["put"] } });
    assert.equal((await off(gateway)).status, 200, "a change needs neither KV nor the pointer");
    const { publication } = await until(async () => {
      const { body } = await gateway.api("GET", BASE);
      return body.publication.attempts > 1 && body;
    });
    assert.deepEqual([publication.settled, /injected fault/.test(publication.error)], [false, true]);
    assert.equal((await ask()).value, true);
    await gateway.fault({});
    await until(async () => (await ask()).value === false, 10_000);
    await until(async () => (await gateway.api("GET", BASE)).body.publication.settled);
  });

  test("the minute's round finds a pointer that is behind", async (t) => {
    const { gateway, ask } = await prepared(t, { cache: false });
    assert.equal((await off(gateway)).status, 200);
    await until(async () => (await ask()).value === false);
    await until(async () => (await gateway.api("GET", BASE)).body.publication.settled);
    // The pointer object loses what it was told.
    await gateway.sql("PointerDo", "p/e", "UPDATE pointer SET sequence = 1, text = json_set(text, '$.sequence', 1, '$.version', 1)");
    const pointer = async () => (await gateway.sql("PointerDo", "p/e", "SELECT sequence FROM pointer"))[0].sequence;
    assert.equal(await pointer(), 1);
    assert.equal((await gateway.cron()).outcome, "ok");
    const { sequence } = (await gateway.api("GET", BASE)).body;
    assert.equal(await until(async () => (await pointer()) > 1 && pointer()), sequence);
    assert.equal((await ask()).value, false, "no isolate went back meanwhile");
  });
});
