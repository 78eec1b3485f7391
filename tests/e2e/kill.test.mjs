// The kill switch: seen at the edge within its bound, lifted by nothing but an un-kill, and
// working while most of the control plane is away.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { start, temporaryFolder, until } from "./harness.mjs";

const BASE = "/v1/projects/p/environments/e";
const BOUND = 5_000;
const flag = (rest = {}) => ({
  type: "boolean",
  variants: { on: true, off: false },
  off: "off",
  client: true,
  default: "on",
  salt: "s",
  ...rest,
});
const DOCUMENT = {
  project: "p",
  environments: {
    e: { flags: { f: flag(), other: flag(), needs: flag({ requires: [{ flag: "f", is: "on" }] }) } },
    twin: { flags: { f: flag({ description: "from the twin" }) } },
  },
};

async function prepared(t, options) {
  const gateway = await start({ t, ...options });
  await gateway.import(DOCUMENT);
  const [token, admin] = await Promise.all([gateway.token("p", "e", "server"), gateway.token("p", "e", "admin", "editor")]);
  const isolates = [...gateway.urls.keys()];
  for (const isolate of isolates) await until(async () => (await answer(isolate, "f")) === "on STATIC", 8_000);
  async function answer(isolate, key) {
    const { body } = await gateway.evaluate(token, key, { targetingKey: "u" }, { isolate });
    return `${body.variant} ${body.reason}`;
  }
  /** Waits until every isolate answers so. */
  async function seen(key, expected) {
    const same = async (isolate) => {
      const found = await answer(isolate, key);
      if (found !== expected) throw new Error(`isolate ${isolate} answers ${found}`);
      return true;
    };
    await Promise.all(isolates.map((isolate) => until(() => same(isolate), BOUND)));
  }
  return { gateway, token, editor: gateway.as(admin), answer, seen };
}

const ok = ({ status, text }) => assert.ok(status < 300, `${status} ${text}`);

/** What changes documents, each of which must leave a kill as it is. */
const CHANGES = {
  "a PUT": async (api) => ok(await api("PUT", `${BASE}/flags/f`, flag({ description: "put" }), { "if-match": "*" })),
  "a PATCH": async (api) => ok(await api("PATCH", `${BASE}/flags/f`, { enabled: true })),
  "a revert": async (api) => ok(await api("POST", `${BASE}/flags/f/revert`, { revision: 1 })),
  "an import": async (api) => ok(await api("POST", "/v1/import?mode=replace", DOCUMENT)),
  "an import into the environment": async (api) => ok(await api("POST", `${BASE}/import?mode=replace`, DOCUMENT)),
  "a copy": async (api) => ok(await api("POST", `${BASE}/copy`, { from: "twin", flags: ["f"] })),
  "its deletion and a PUT": async (api) => {
    ok(await api("DELETE", `${BASE}/flags/needs`, undefined, { "if-match": "*" }));
    ok(await api("DELETE", `${BASE}/flags/f`, undefined, { "if-match": "*" }));
    ok(await api("PUT", `${BASE}/flags/f`, flag()));
  },
  "its deletion and a revert": async (api) => {
    ok(await api("DELETE", `${BASE}/flags/f`, undefined, { "if-match": "*" }));
    ok(await api("POST", `${BASE}/flags/f/revert`, { revision: 1 }));
  },
};

describe("kills", { concurrency: 3 }, () => {
  test("a flag's kill and its end are seen in every isolate within the bound", async (t) => {
    const { editor, answer, seen, gateway } = await prepared(t, { isolates: 3 });
    const version = (await editor("GET", BASE)).body.version;
    const killed = await editor("POST", `${BASE}/flags/f/kill`, { reason: "crashes" });
    assert.deepEqual([killed.body.killed, killed.body.changed], [true, true]);
    await seen("f", "off DISABLED");
    await seen("needs", "off DISABLED");
    assert.equal(await answer(0, "other"), "on STATIC", "no other flag is meant");
    assert.equal((await editor("GET", BASE)).body.version, version, "a kill is no version");
    assert.deepEqual((await editor("GET", BASE)).body.killedFlags, ["f"]);
    assert.equal((await gateway.api("POST", `${BASE}/flags/f/kill`)).body.changed, false, "twice is once");
    ok(await editor("POST", `${BASE}/flags/f/unkill`));
    await seen("f", "on STATIC");
  });

  test("an environment's kill and its end are seen within the bound", async (t) => {
    const { editor, seen } = await prepared(t, { isolates: 2 });
    ok(await editor("POST", `${BASE}/kill`, { reason: "everything is on fire" }));
    for (const key of ["f", "other", "needs"]) await seen(key, "off DISABLED");
    ok(await editor("POST", `${BASE}/unkill`));
    for (const key of ["f", "other"]) await seen(key, "on STATIC");
    await seen("needs", "on DEFAULT");
  });

  test("nothing but an un-kill lifts a kill", async (t) => {
    const { gateway, token, seen } = await prepared(t, { cache: false });
    const { api } = gateway;
    ok(await api("POST", `${BASE}/flags/f/kill`));
    await seen("f", "off DISABLED");
    for (const [what, change] of Object.entries(CHANGES)) {
      await change(api);
      assert.equal((await api("GET", `${BASE}/flags/f`)).headers.get("headgate-killed"), "true", `after ${what}`);
      const { version } = (await api("GET", BASE)).body;
      // From the change to its being served, no answer may have the flag alive.
      await until(async () => {
        const { headers, body } = await gateway.evaluate(token, "f", { targetingKey: "u" });
        assert.notEqual(body.value, true, `after ${what}`);
        return Number(headers.get("headgate-version")) >= version && body.reason === "DISABLED";
      }, BOUND);
    }
    ok(await api("POST", `${BASE}/flags/f/unkill`));
    await seen("f", "on STATIC");
  });

  test("a kill needs no directory, no KV and no metrics", async (t) => {
    const { gateway, editor, seen } = await prepared(t, { faults: true, cache: false });
    await gateway.fault({ objects: { fail: true, only: ["DIRECTORY", "METRICS"] }, kv: { fail: true } });
    assert.equal((await gateway.api("GET", "/v1/projects")).status, 503, "the directory is away");
    ok(await editor("POST", `${BASE}/flags/f/kill`, { reason: "crashes" }));
    await seen("f", "off DISABLED");
    ok(await editor("POST", `${BASE}/kill`));
    await seen("other", "off DISABLED");
    ok(await editor("POST", `${BASE}/unkill`));
    await seen("other", "on STATIC");
  });

  test("a kill does not stand behind a change that cannot be published", async (t) => {
    const { gateway, editor, seen } = await prepared(t, { faults: true, cache: false });
    await gateway.fault({ kv: { delay: 60_000, only: ["put"] } });
    ok(await editor("PATCH", `${BASE}/flags/other`, { enabled: false }));
    ok(await editor("POST", `${BASE}/flags/f/kill`));
    await seen("f", "off DISABLED");
  });

  test("a kill is kept over a restart", async (t) => {
    const { gateway, editor, answer, seen } = await prepared(t, { persist: temporaryFolder(t), cache: false });
    ok(await editor("POST", `${BASE}/flags/f/kill`));
    await gateway.restart();
    assert.equal(await answer(0, "f"), "off DISABLED", "with the first answer");
    ok(await gateway.api("POST", `${BASE}/flags/f/unkill`));
    await seen("f", "on STATIC");
  });
});
