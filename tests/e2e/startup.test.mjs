// An app's start over HTTP: one call that answers everything, its entity tag, its errors, and apps
// that another environment answers.
import assert from "node:assert/strict";
import test from "node:test";
import { start, until } from "./harness.mjs";

const BASE = "/v1/projects/p/environments";
const flag = (rest = {}) => ({
  type: "boolean",
  variants: { on: true, off: false },
  off: "off",
  client: true,
  default: "off",
  ...rest,
});
const SETTINGS = { origins: ["https://app.example"], trusted: ["plan"], pollSeconds: 60, parameters: { apiUrl: "https://api.example", max: 3 } };
const DOCUMENT = {
  project: "p",
  environments: {
    production: {
      settings: SETTINGS,
      flags: {
        half: flag({ default: { share: 50, variants: { on: 100 }, else: "off" } }),
        new: flag({ rules: [{ id: "v", if: { attribute: "app_version", semver: ">=2.5" }, serve: "on" }] }),
        premium: flag({ rules: [{ id: "p", if: { attribute: "plan", equals: "premium" }, serve: "on" }] }),
        internal: flag({ client: false }),
      },
      channels: { ios: { platform: "ios", app: "example.p", minimum: "2.0", releases: { "2.0": { availability: { "*": true } } } } },
    },
    staging: { flags: { new: flag({ default: "on" }) }, settings: { parameters: { apiUrl: "https://staging.example" } } },
  },
};

async function prepared(t, options) {
  const gateway = await start({ t, ...options });
  await gateway.import(DOCUMENT);
  const token = await gateway.token("p", "production", "client");
  const startUp = (body, headers = {}, query = "") =>
    gateway.ask(`/v1/startup${query}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, ...headers },
      body: typeof body === "object" ? JSON.stringify(body) : body,
    });
  await until(async () => (await startUp({})).status === 200, 8_000);
  return { gateway, token, startUp };
}
const values = ({ body }) => Object.fromEntries(body.flags.map(({ key, value }) => [key, value]));

test("one call answers flags, verdict, settings and unit", async (t) => {
  const { gateway, token, startUp } = await prepared(t);
  const app = { bundleId: "example.p", platform: "ios", version: "1.9", build: 512, osVersion: "17.4", locale: "de-CH", storefront: "CH", channel: "ios" };
  const answer = await startUp({ ...app, unit: "u-1", attributes: { group: "a" } });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get("cache-control"), "private, no-cache");
  const context = { targetingKey: "u-1", app_version: "1.9", group: "a" };
  const bulk = await gateway.evaluate(token, undefined, context);
  assert.deepEqual(answer.body.flags, bulk.body.flags, "an SDK is seeded with what it would fetch");
  assert.equal(answer.body.update.action, "required");
  const { settings, unit } = answer.body;
  assert.deepEqual([settings.pollSeconds, settings.parameters, unit], [60, SETTINGS.parameters, "u-1"]);
  assert.equal(settings.eventsUrl, `${gateway.url}/v1/events`);
  assert.ok(settings.streamUrl.startsWith(`${gateway.url}/v1/stream?`), settings.streamUrl);

  const again = await startUp({ ...app, unit: "u-1", attributes: { group: "a" } }, { "if-none-match": answer.etag });
  assert.deepEqual([again.status, again.text, again.etag], [304, "", answer.etag]);
  const newer = await startUp({ ...app, version: "2.6", unit: "u-1" }, { "if-none-match": answer.etag });
  assert.deepEqual([newer.status, newer.body.update.action, values(newer).new], [200, "none", true]);

  await gateway.api("PATCH", `${BASE}/production/flags/new`, { enabled: false });
  await until(async () => values(await startUp({ ...app, version: "2.6", unit: "u-1" })).new === false);
});

test("an anonymous app gets a unit and keeps it", async (t) => {
  const { startUp } = await prepared(t);
  const first = await startUp({ version: "2.6" });
  assert.match(first.body.unit, /^[0-9a-f]{32}$/);
  assert.notEqual((await startUp({ version: "2.6" })).body.unit, first.body.unit);
  const kept = await startUp({ version: "2.6", unit: first.body.unit }, { "if-none-match": first.etag });
  assert.equal(kept.status, 304, "what it stored and sends back gives the same answer");
  assert.equal((await startUp({ version: "2.6" }, { "if-none-match": first.etag })).status, 200);
});

test("a GET carries nothing of a person", async (t) => {
  const { startUp } = await prepared(t);
  const query = "?bundleId=example.p&platform=ios&appVersion=2.6&build=512&osVersion=17.4&locale=de-CH&storefront=CH&channel=ios";
  const answer = await startUp(undefined, {}, query);
  assert.deepEqual([answer.status, values(answer).new, answer.body.unit], [200, true, undefined]);
  assert.equal(answer.body.flags.find(({ key }) => key === "half").errorCode, "TARGETING_KEY_MISSING");
  assert.equal((await startUp(undefined, { "if-none-match": answer.etag }, query)).status, 304);
  for (const personal of ["unit=u", "targetingKey=u", "attributes=%7B%7D"]) {
    const refused = await startUp(undefined, {}, `?${personal}`);
    assert.deepEqual([refused.status, refused.headers.get("content-type")], [400, "application/problem+json"], personal);
  }
});

test("bad input: problems with their places, nonsense fails open", async (t) => {
  const { gateway, token, startUp } = await prepared(t);
  const refused = await startUp({ unit: 7, platform: ["ios"], more: 1, attributes: "x" });
  assert.equal(refused.status, 422);
  assert.deepEqual(refused.body.problems.map(({ pointer }) => pointer).sort(), ["/attributes", "/more", "/platform", "/unit"]);
  assert.equal((await startUp("nonsense")).status, 400);
  assert.equal((await startUp({ unit: "x".repeat(70_000) })).status, 413);
  const nonsense = ["", "1..2", "9".repeat(400), "٣.٤", "-", "\u0000"];
  for (const text of nonsense) {
    const answer = await startUp({ version: text, build: text, platform: text, locale: text, osVersion: text, storefront: text, channel: text, unit: "u" });
    assert.deepEqual([answer.status, answer.body.update.action], [200, "none"], text);
  }
  assert.equal((await gateway.ask("/v1/startup", { method: "POST" })).status, 401);
  assert.equal((await gateway.ask("/v1/startup", { method: "PUT", headers: { authorization: `Bearer ${token}` } })).status, 405);
  const foreign = await startUp({}, { origin: "https://evil.example" });
  assert.equal(foreign.status, 403);
  const allowed = await startUp({}, { origin: "https://app.example" });
  assert.deepEqual([allowed.status, allowed.headers.get("access-control-allow-origin")], [200, "https://app.example"]);
  const preflight = await gateway.ask("/v1/startup", { method: "OPTIONS", headers: { origin: "https://app.example" } });
  assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-methods")], [204, "GET, POST, OPTIONS"]);
});

test("trusted attributes come from the backend alone", async (t) => {
  const { gateway, startUp } = await prepared(t);
  assert.equal(values(await startUp({ unit: "u", attributes: { plan: "premium" } })).premium, false);
  const { body } = await gateway.api("GET", `${BASE}/production/context-key`);
  const { createHmac } = await import("node:crypto");
  const payload = Buffer.from(JSON.stringify({ unit: "u", attributes: { plan: "premium" } })).toString("base64url");
  const signature = createHmac("sha256", Buffer.from(body.keys[0].key, "base64url")).update(payload).digest("base64url");
  const attributes = { signedContext: `${payload}.${signature}` };
  assert.equal(values(await startUp({ unit: "u", attributes })).premium, true);
  assert.equal(values(await startUp({ unit: "v", attributes })).premium, false);
});

test("bundle id and build select the environment", async (t) => {
  const { gateway, startUp } = await prepared(t);
  const staging = await gateway.token("p", "staging", "client");
  const put = async (elsewhere) => {
    const { etag } = await gateway.api("GET", `${BASE}/production/settings`);
    return gateway.api("PUT", `${BASE}/production/settings`, { ...SETTINGS, elsewhere }, { "if-match": etag });
  };
  const own = await gateway.token("p", "production", "client");
  const refused = await put([{ app: "example.p", token: own }]);
  assert.deepEqual([refused.status, refused.body.problems[0].pointer], [422, "/elsewhere/0/token"]);
  assert.equal((await put([{ app: "example.p", platform: "ios", builds: "512", token: staging }])).status, 200);
  const review = { bundleId: "example.p", platform: "iOS", build: "512", unit: "u" };
  const answer = await until(async () => {
    const answer = await startUp(review);
    return answer.body.settings.token === undefined ? null : answer;
  }, 8_000);
  assert.deepEqual(values(answer), { new: true });
  assert.deepEqual([answer.body.settings.token, answer.body.settings.parameters.apiUrl], [staging, "https://staging.example"]);
  const next = await gateway.evaluate(answer.body.settings.token, "new");
  assert.equal(next.body.value, true, "what the app asks next goes there too");
  assert.equal((await startUp(review, { "if-none-match": answer.etag })).status, 304);
  const other = await startUp({ ...review, build: 511 });
  assert.deepEqual([values(other).new, other.body.settings.token], [false, undefined]);

  const { body } = await gateway.api("GET", `${BASE}/staging/tokens`);
  await gateway.api("DELETE", `${BASE}/staging/tokens/${body.items[0].id}`);
  const back = await until(async () => {
    const answer = await startUp(review);
    return answer.body.settings.token === undefined ? answer : null;
  }, 8_000);
  assert.equal(values(back).new, false, "a revoked token sends nobody elsewhere");
});

test("parameters are versioned, audited and validated as all settings are", async (t) => {
  const { gateway, startUp } = await prepared(t);
  const { etag, body } = await gateway.api("GET", `${BASE}/production/settings`);
  assert.deepEqual(body, SETTINGS);
  const put = (settings, headers) => gateway.api("PUT", `${BASE}/production/settings`, settings, headers);
  const bad = await put({ ...SETTINGS, pollSeconds: 1, parameters: { "a b": 1, none: null } }, { "if-match": etag });
  assert.deepEqual([bad.status, bad.body.problems.map(({ pointer }) => pointer)], [422, ["/pollSeconds", "/parameters/a b", "/parameters/none"]]);
  assert.equal((await put(SETTINGS)).status, 428);
  assert.equal((await put({ ...SETTINGS, parameters: { apiUrl: "https://two.example" } }, { "if-match": etag })).status, 200);
  await until(async () => (await startUp({ unit: "u" })).body.settings.parameters.apiUrl === "https://two.example", 8_000);
  const audit = await gateway.api("GET", `${BASE}/production/audit?entity=settings`);
  assert.match(JSON.stringify(audit.body.items[0]), /two\.example/);
});

test("with the control plane away an app starts from what is here", async (t) => {
  const { gateway, startUp } = await prepared(t, { faults: true });
  await gateway.fault({ objects: { fail: true }, kv: { fail: true } });
  assert.equal((await startUp({ unit: "u" })).status, 200);
});
