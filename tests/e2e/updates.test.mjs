// Update gates on the real runtime: the example products' channels, a release that is added and a store
// that is reported while apps ask, a kill, and the README's own snippet.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test, { before, after } from "node:test";
import { start, until } from "./harness.mjs";

const root = new URL("../../", import.meta.url);
const text = (path) => readFileSync(new URL(path, root), "utf8");
const PRODUCTS = ["avalo", "pairity", "pinky-promise", "pulse", "swapjoy"];

let gateway;
const tokens = {};

before(async () => {
  gateway = await start();
  for (const product of PRODUCTS) {
    await gateway.import(text(`examples/${product}/project.json`));
    tokens[product] = await gateway.token(product, "production", "client");
  }
});
after(() => gateway.stop());

const headers = (product, more = {}) => ({ authorization: `Bearer ${tokens[product]}`, ...more });

/** What an app of a product is told. */
async function told(product, facts) {
  const answer = await gateway.ask(`/v1/update?${new URLSearchParams(facts)}`, { headers: headers(product) });
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

const PAIRITY = { app: "example.pairity", platform: "ios", osVersion: "17.4", storefront: "CHE" };

test("Pairity: minimum, block, an old phone, languages, the people of a flag, testers", async () => {
  const ask = (facts) => told("pairity", { ...PAIRITY, ...facts });
  const below = await until(() => ask({ version: "2.2.9", locale: "de-CH" }));
  assert.deepEqual([below.action, below.reason, below.rule], ["required", "below-minimum", "/minimum"]);
  assert.deepEqual([below.target.version, below.target.build, below.target.notes], ["2.5.1", "512", "Videoanrufe zwischen Matches."]);
  assert.deepEqual(below.texts, {
    title: "Bitte aktualisiere Pairity",
    message: "Diese Version schliesst Anrufe nicht.",
    update: "Aktualisieren",
  });
  assert.equal((await ask({ version: "2.4.1" })).reason, "blocked");
  const old = await ask({ version: "2.2.9", osVersion: "15.8" });
  assert.deepEqual([old.action, old.target.version], ["required", "2.3.4"]);
  const older = await ask({ version: "2.2.9", osVersion: "14.8", locale: "de" });
  assert.deepEqual([older.action, older.reason, older.texts.title], ["none", "os-too-old", "Das System deines Telefons ist zu alt"]);

  // 2.6.0 is for those who have the new matching engine: early adopters, by bucket.
  const feature = async (targetingKey) => {
    const context = { targetingKey, sessions_last_30_days: 30 };
    const init = { method: "POST", headers: headers("pairity", { "content-type": "application/json" }) };
    const flag = await gateway.ask("/ofrep/v1/evaluate/flags/matching_engine_v2", { ...init, body: JSON.stringify({ context }) });
    const gate = await gateway.ask("/v1/update", { ...init, body: JSON.stringify({ ...PAIRITY, version: "2.2.9", context }) });
    return [flag.body.value, gate.body.target.version];
  };
  const people = await Promise.all(Array.from({ length: 40 }, (_, n) => feature(`u-${n}`)));
  const has = people.filter(([on]) => on);
  assert.ok(has.length > 2 && has.length < 25, `${has.length} of 40 have the feature`);
  for (const [on, version] of people) assert.ok(on || version === "2.5.1", `${version} without the feature`);

  const tester = { ...PAIRITY, version: "2.5.0", context: { targetingKey: "bench-ios-1" } };
  const init = { method: "POST", headers: headers("pairity", { "content-type": "application/json" }) };
  assert.equal((await gateway.ask("/v1/update", { ...init, body: JSON.stringify(tester) })).body.channel, "ios-testflight");
});

test("Avalo: Play chooses, TestFlight is asked for, the web waits", async () => {
  const android = { app: "example.avalo", platform: "android", osVersion: "33" };
  const plain = await told("avalo", { ...android, version: "3.9" });
  assert.deepEqual([plain.action, plain.target.version], ["required", "4.3.0"]);
  const chosen = await told("avalo", { ...android, version: "4.2.9", build: "4299", storeBuild: "4302" });
  assert.deepEqual([chosen.action, chosen.target.version], ["recommended", "4.3.2"]);
  const blocked = await told("avalo", { ...android, version: "4.2.6", build: "4206" });
  assert.deepEqual([blocked.action, blocked.rule], ["required", "/blocked/0"]);
  const ios = await told("avalo", { app: "example.avalo", platform: "ios", channel: "testflight", version: "4.4.0-rc.1" });
  assert.deepEqual([ios.channel, ios.target.version], ["ios-testflight", "4.4.0-rc.2"]);
});

test("SwapJoy: bundles by air reach binaries that fit, and the withdrawn one is left", async () => {
  const ask = (facts) => told("swapjoy", { app: "example.swapjoy", platform: "android", osVersion: "33", ...facts });
  assert.equal((await ask({ version: "3.1" })).action, "required");
  assert.equal((await ask({ version: "3.3.0" })).bundle.bundle, "2026.11.2");
  const bundles = await Promise.all(Array.from({ length: 60 }, (_, n) => ask({ version: "3.4.2", targetingKey: `phone-${n}` })));
  const next = bundles.filter(({ bundle }) => bundle.bundle === "2026.12.0").length;
  assert.ok(next > 4 && next < 30, `${next} of 60 have the new bundle`);
  const back = await ask({ version: "3.4.2", bundle: "2026.11.9" });
  assert.deepEqual([back.bundle.action, back.bundle.reason, back.bundle.bundle], ["required", "withdrawn", "2026.11.2"]);
  const staging = await gateway.token("swapjoy", "staging", "client");
  const all = await gateway.ask("/v1/update?platform=ios&version=3.4.2", { headers: { authorization: `Bearer ${staging}` } });
  assert.equal(all.body.bundle.bundle, "2026.12.0");
});

test("a release comes, a store is reported, the gate is killed: apps are told within seconds", async () => {
  const environment = "/v1/projects/pinky-promise/environments/production";
  const ask = (facts = {}) => told("pinky-promise", { channel: "web", version: "7.3.1", ...facts });
  assert.equal((await ask()).reason, "up-to-date");
  const release = `${environment}/channels/web/releases/8.0`;
  const added = await gateway.api("PUT", release, { required: true });
  assert.equal(added.status, 201);
  assert.ok(added.body.warnings.some(({ pointer }) => pointer === "/releases/8.0/required"), added.text);
  await until(async () => (await ask()).reason === "availability-unknown", 10_000);
  const report = (source) => gateway.api("POST", `${release}/availability`, { source, storefronts: { "*": true } });
  assert.equal((await report("clientReport")).status, 200);
  // Whatever apps report, nobody is required by it; a look-up is believed.
  const version = Number((await gateway.api("GET", environment)).body.version);
  const served = async () => Number((await gateway.ask("/v1/update?channel=web&version=1", { headers: headers("pinky-promise") })).headers.get("headgate-version"));
  await until(async () => (await served()) >= version, 10_000);
  assert.deepEqual([(await ask()).action, (await ask()).reason], ["recommended", "availability-unknown"]);
  assert.equal((await report("lookup")).status, 200);
  await until(async () => (await ask()).action === "required", 10_000);
  assert.equal((await gateway.api("POST", `${environment}/kill`, { reason: "test" })).status, 200);
  await until(async () => (await ask()).reason === "killed", 10_000);
  assert.equal((await gateway.api("POST", `${environment}/unkill`)).status, 200);
  await until(async () => (await ask()).action === "required", 10_000);
});

test("an answer that has not changed is a 304, and browsers may ask", async () => {
  const target = "/v1/update?channel=web&version=2026.39";
  const first = await gateway.ask(target, { headers: headers("pulse") });
  assert.equal(first.headers.get("cache-control"), "private, no-cache");
  const again = await gateway.ask(target, { headers: headers("pulse", { "if-none-match": first.etag }) });
  assert.deepEqual([again.status, again.text, again.etag], [304, "", first.etag]);
  const preflight = await gateway.ask("/v1/update", { method: "OPTIONS", headers: { origin: "https://pulse.example" } });
  assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-methods")], [204, "GET, POST, OPTIONS"]);
  const large = await gateway.ask("/v1/update", { method: "POST", headers: headers("pulse"), body: `{"version":"${"1".repeat(70_000)}"}` });
  assert.deepEqual([large.status, large.headers.get("content-type")], [413, "application/problem+json"]);
});

test("the README's snippet for fetch works, and fails open", async () => {
  const snippet = /export (async function gate\(facts\) \{[\s\S]*?\n\})/.exec(text("README.md"))[1];
  const make = (url, token) => new Function("gateway", "token", `return ${snippet}`)(url, token);
  const gate = make(gateway.url, tokens.pulse);
  await until(async () => (await gate({ channel: "web", version: "2026.39" })).action === "required", 10_000);
  assert.deepEqual(await make("http://127.0.0.1:9", tokens.pulse)({ version: "1" }), { action: "none" });
  assert.deepEqual(await make(gateway.url, "wrong")({ version: "1" }), { action: "none" });
});

test("the README's channel is told as the README says, and warns of nothing", async () => {
  const readme = text("README.md");
  const document = /-X PUT \$URL\S*\/channels\/ios .* --json '(\{[\s\S]*?\})'/.exec(readme)[1];
  const put = await gateway.api("PUT", "/v1/projects/pulse/environments/production/channels/ios", document);
  assert.deepEqual([put.status, put.body.warnings], [201, undefined], put.text);
  const [, target, told] = /curl -s "\$URL(\/v1\/update[^"]*)" .*\n```\n\n```json\n([\s\S]*?)```/.exec(readme);
  const ask = () => gateway.ask(target, { headers: headers("pulse") });
  await until(async () => (await ask()).body.channel === "ios", 10_000);
  assert.deepEqual((await ask()).body, JSON.parse(told));
});
