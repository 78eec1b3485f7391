// The control plane over HTTP: conditional writes, problems, roles, history, audit, copies.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { example, OWNER_TOKEN, start, until, upload } from "./harness.mjs";

const HOME = "/v1/projects/shop/environments";
const at = (path, environment = "production") => `${HOME}/${environment}${path}`;
const flag = (rest = {}) => ({
  type: "boolean",
  variants: { on: true, off: false },
  off: "off",
  client: true,
  default: "off",
  ...rest,
});
const some = (share) => flag({ rules: [{ id: "some", serve: { share, variants: { on: 100 }, else: "off" } }] });

let gateway;
let api;

before(async (t) => {
  gateway = await start({ t });
  api = gateway.api;
  await gateway.import({ project: "shop", environments: { production: {}, staging: {} } });
});

/** Asserts a problem document of a type, and gives it. */
function problem({ status, headers, body, text }, expected, slug) {
  assert.deepEqual([status, body.type], [expected, `urn:headgate:problem:${slug}`], text);
  assert.equal(headers.get("content-type"), "application/problem+json");
  assert.equal(body.status, expected);
  assert.ok(body.title.length > 0 && body.detail.length > 0, text);
  return body;
}

async function made(path, document) {
  const answer = await api("PUT", path, document);
  assert.equal(answer.status, 201, answer.text);
  return answer;
}

test("what is there is changed with its entity tag alone", async () => {
  const path = at("/flags/conditional");
  const first = await made(path, flag());
  const read = await api("GET", path);
  assert.equal(read.etag, first.etag);
  assert.match(read.etag, /^"[^"]+"$/, "a strong entity tag");
  assert.equal((await api("GET", path, undefined, { "if-none-match": read.etag })).status, 304);

  const blind = await api("PUT", path, flag({ description: "blind" }));
  problem(blind, 428, "if-match-required");
  assert.equal(blind.etag, first.etag);
  problem(await api("DELETE", path), 428, "if-match-required");
  problem(await api("PUT", path, flag(), { "if-none-match": "*" }), 412, "already-exists");

  const second = await api("PUT", path, flag({ description: "second" }), { "if-match": first.etag });
  assert.equal(second.status, 200);
  assert.notEqual(second.etag, first.etag);
  const stale = await api("PUT", path, flag({ description: "stale" }), { "if-match": first.etag });
  problem(stale, 412, "stale-etag");
  assert.equal(stale.etag, second.etag, "the refusal names the current entity tag");
  problem(await api("PATCH", path, { enabled: false }, { "if-match": first.etag }), 412, "stale-etag");
  assert.deepEqual((await api("GET", path)).body, second.body, "nothing of the refused changes is there");

  assert.deepEqual((await api("PUT", path, second.body, { "if-match": second.etag })).body, second.body);
  assert.equal((await api("DELETE", path, undefined, { "if-match": second.etag })).status, 204);
  problem(await api("GET", path), 404, "unknown-entity");
  problem(await api("PUT", path, flag(), { "if-match": second.etag }), 412, "stale-etag");
});

test("of two writers with one entity tag one wins", async () => {
  const path = at("/flags/race");
  const { etag } = await made(path, flag());
  const writers = ["a", "b", "c", "d"];
  const answers = await Promise.all(
    writers.map((name) => api("PUT", path, flag({ description: name }), { "if-match": etag })),
  );
  const won = answers.filter(({ status }) => status === 200);
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 412, 412, 412]);
  const read = await api("GET", path);
  assert.equal(read.body.description, won[0].body.description);
  for (const lost of answers.filter(({ status }) => status === 412)) {
    problem(lost, 412, "stale-etag");
    assert.equal(lost.etag, read.etag);
  }
});

test("PATCH changes what it names and nothing else", async () => {
  const path = at("/flags/patched");
  const { body } = await made(path, some(5));
  const wider = await api("PATCH", path, { enabled: false, rules: { some: { share: 12.5 } } });
  assert.equal(wider.status, 200, wider.text);
  const expected = structuredClone(body);
  Object.assign(expected, { enabled: false });
  expected.rules[0].serve.share = 12.5;
  assert.deepEqual(wider.body, expected);
  const wrong = await api("PATCH", path, { rules: { some: { share: 12.3456 }, gone: { share: 1 } } });
  assert.deepEqual(
    problem(wrong, 422, "invalid-document").problems.map(({ pointer }) => pointer),
    ["/rules/gone"],
  );
  problem(await api("PATCH", path, { rules: { some: { share: 12.3456 } } }), 422, "invalid-document");
});

test("segments, routes, channels and settings are documents as well", async () => {
  const documents = {
    "/segments/beta": { include: ["u-1"], if: { attribute: "group", equals: "beta" } },
    "/flags/site": flag({ rules: [{ id: "beta", if: { segment: "beta" }, serve: "on" }] }),
    "/routes/www": { host: "shop.localhost", flag: "site", targets: { on: "https://b.example", off: "https://a.example" } },
    "/channels/ios": { platform: "ios", minimum: "2.0.0" },
  };
  for (const [path, document] of Object.entries(documents)) {
    const { etag } = await made(at(path), document);
    const { body } = await api("GET", at(path));
    for (const [name, value] of Object.entries(document)) assert.deepEqual(body[name], value, path);
    const described = { ...body, description: "changed" };
    assert.equal((await api("PUT", at(path), described, { "if-match": etag })).body.description, "changed");
  }
  problem(await api("DELETE", at("/segments/beta"), undefined, { "if-match": "*" }), 409, "in-use");
  const settings = await api("GET", at("/settings"));
  problem(await api("PUT", at("/settings"), { origins: ["https://a.example"] }), 428, "if-match-required");
  const put = await api("PUT", at("/settings"), { origins: ["https://a.example"] }, { "if-match": settings.etag });
  assert.deepEqual(put.body.origins, ["https://a.example"]);
});

test("lists are paged and filtered", async () => {
  const documents = {
    one: flag({ tags: ["checkout"], owner: "team-a", kind: "operational", description: "Turns the DIAL" }),
    two: flag({ tags: ["checkout", "new"], owner: "team-b", enabled: false }),
    three: flag({ owner: "team-a", kind: "permission" }),
  };
  await gateway.import({ project: "lists", environments: { production: { flags: documents } } });
  const path = "/v1/projects/lists/environments/production/flags";
  const keys = async (query) => {
    const { status, body, text } = await api("GET", `${path}?${query}`);
    assert.equal(status, 200, text);
    return body.items.map(({ key }) => key);
  };
  await api("POST", `${path}/three/kill`);
  assert.deepEqual(await keys("tag=checkout"), ["one", "two"]);
  assert.deepEqual(await keys("owner=team-a&kind=permission"), ["three"]);
  assert.deepEqual(await keys("q=dial"), ["one"]);
  assert.deepEqual(await keys("enabled=false"), ["two"]);
  assert.deepEqual(await keys("killed=true"), ["three"]);

  const seen = [];
  let after = "";
  for (let pages = 0; after !== undefined; pages += 1) {
    assert.ok(pages < 4, "the last page names no next");
    const { body } = await api("GET", `${path}?limit=1${after && `&after=${after}`}`);
    assert.equal(body.items.length, 1);
    seen.push(body.items[0].key);
    after = body.next;
  }
  assert.deepEqual(seen, ["one", "three", "two"]);
  const { items } = (await api("GET", `${path}?limit=1`)).body;
  assert.deepEqual(Object.keys(items[0]), ["key", "revision", "killed", "etag", "updatedAt", "updatedBy", "document"]);
  problem(await api("GET", `${path}?limit=many`), 400, "bad-parameter");
  problem(await api("GET", `${path}?colour=red`), 400, "bad-parameter");
});

test("all problems at once, each with its place", async () => {
  const answer = await api("PUT", at("/flags/wrong"), {
    type: "boolean",
    variants: { on: "yes", off: false },
    off: "gone",
    colour: "red",
    default: { share: 101, variants: { on: 60, off: 30 } },
    rules: [
      { id: "a", if: { attribute: "x", semver: "!" }, serve: "on" },
      { id: "a", if: { attribute: "x", equals: 1 }, serve: "nothing" },
    ],
  });
  const { problems, detail } = problem(answer, 422, "invalid-document");
  const places = problems.map(({ pointer }) => pointer);
  for (const place of ["/variants/on", "/off", "/colour", "/default/share", "/rules/0/if/semver", "/rules/1/serve"]) {
    assert.ok(places.includes(place), `${place} among ${places}`);
  }
  assert.ok(detail.startsWith(`${problems.length} problems`), detail);
  problem(await api("GET", at("/flags/wrong")), 404, "unknown-entity");
});

const nested = (depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const requires = (key) => flag({ requires: [{ flag: key, is: "on" }] });

/** Name, request, status and type of the problem that answers it. */
const FAULTS = [
  ["not JSON", ["PUT", "/flags/x", "{"], 400, "not-json"],
  ["an empty body", ["PUT", "/flags/x", ""], 400, "not-json"],
  ["duplicate keys", ["PUT", "/flags/x", JSON.stringify(flag()).replace("{", '{"type":"boolean",')], 422, "invalid-document", "/type"],
  ["unknown fields", ["PUT", "/flags/x", flag({ colour: 1 })], 422, "invalid-document", "/colour"],
  ["wrong types", ["PUT", "/flags/x", flag({ enabled: "yes" })], 422, "invalid-document", "/enabled"],
  ["too deep", ["PUT", "/flags/x", nested(40)], 400, "too-deep"],
  ["another media type", ["PUT", "/flags/x", "type=boolean", { "content-type": "text/plain" }], 415, "unsupported-media-type"],
  ["a large document", ["PUT", "/flags/x", flag({ description: "x".repeat(600_000) })], 413, "too-large"],
  ["a bad key", ["PUT", "/flags/a%2Fb", flag()], 400, "bad-key"],
  ["broken percent-encoding", ["GET", "/flags/%zz"], 400, "bad-percent-encoding"],
  ["no such flag", ["GET", "/flags/none"], 404, "unknown-entity"],
  ["no such path", ["GET", "/flagz"], 404, "not-found"],
  ["no such method", ["POST", "/flags/x"], 405, "method-not-allowed"],
  ["a bad percentage", ["PUT", "/flags/x", some(100.5)], 422, "invalid-document", "/rules/0/serve/share"],
  ["an unknown reference", ["PUT", "/flags/x", requires("none")], 422, "invalid-document", "/requires/0"],
  ["a circle", ["PUT", "/flags/circle-a", requires("circle-b"), { "if-match": "*" }], 422, "reference-cycle", "/requires/0"],
  ["no revision", ["POST", "/flags/circle-a/revert", { revision: 99 }], 404, "unknown-revision"],
  ["no confirmation", ["DELETE", ""], 400, "confirmation-required"],
  ["a bad parameter", ["POST", "/import?mode=force", { project: "shop", environments: { production: {} } }], 400, "bad-parameter"],
];

test("each fault has its own problem, and nothing is half written", async (t) => {
  await made(at("/flags/circle-a"), flag());
  await made(at("/flags/circle-b"), requires("circle-a"));
  const before = (await api("GET", at("/export"))).text;
  for (const [name, [method, path, body, headers], status, slug, pointer] of FAULTS) {
    await t.test(name, async () => {
      const answer = await api(method, at(path), body, headers);
      const { problems } = problem(answer, status, slug);
      if (pointer !== undefined) assert.deepEqual(problems.map((one) => one.pointer), [pointer]);
      if (status === 405) assert.equal(answer.headers.get("allow"), "PATCH, GET, PUT, DELETE");
    });
  }
  assert.equal((await api("GET", at("/export"))).text, before);
});

test("a body over its bound is refused, unread when it says its length", async () => {
  const headers = { authorization: `Bearer ${OWNER_TOKEN}`, "content-type": "application/json" };
  const url = `${gateway.url}/v1/import`;
  const bound = 9 * 1024 * 1024;
  problem(await upload(url, { ...headers, "content-length": bound + 1 }), 413, "too-large");
  problem(await upload(url, headers, [" ".repeat(bound), "x"]), 413, "too-large");
  problem(await upload(url, headers, [" ".repeat(bound - 1), "x"]), 400, "not-json");
});

test("roles reach as far as they say", async () => {
  await made(at("/flags/roles"), flag());
  const calls = [
    ["viewer", "GET", at("/flags/roles")],
    ["viewer", "GET", at("/audit")],
    ["viewer", "GET", at("/export")],
    ["viewer", "POST", at("/explain"), { flag: "roles" }],
    ["editor", "PATCH", at("/flags/roles"), { enabled: true }],
    ["editor", "POST", at("/flags/roles/kill")],
    ["editor", "POST", at("/flags/roles/unkill")],
    ["approver", "PUT", at("/settings"), {}, { "if-match": "*" }],
    ["owner", "GET", at("/tokens")],
    ["owner", "POST", at("/tokens"), { kind: "server", name: "made by a role" }],
    ["owner", "GET", at("/context-key")],
  ];
  const roles = ["viewer", "editor", "approver", "owner"];
  for (const role of roles) {
    const as = gateway.as(await gateway.token("shop", "production", "admin", role));
    for (const [needed, method, path, body, headers] of calls) {
      const answer = await as(method, path, body, headers);
      const may = roles.indexOf(role) >= roles.indexOf(needed);
      if (may) assert.ok(answer.status < 300, `${role} ${method} ${path}: ${answer.status} ${answer.text}`);
      else assert.match(problem(answer, 403, "forbidden").detail, new RegExp(needed));
    }
    assert.equal((await as("GET", "/v1/projects")).status, 401, "the deployment is not theirs");
  }
});

test("wrong, expired, foreign and missing tokens are refused alike", async () => {
  const foreign = await gateway.token("shop", "staging", "admin", "owner");
  const client = await gateway.token("shop", "production", "client");
  const soon = { kind: "admin", role: "owner", name: "short", expiresAt: new Date(Date.now() + 400).toISOString() };
  const expired = (await api("POST", at("/tokens"), soon)).body.token;
  await until(async () => (await gateway.as(expired)("GET", at("/flags"))).status === 401);
  const good = await gateway.token("shop", "production", "admin", "owner");
  const made_up = `${good.slice(0, -4)}AAAA`;
  const answers = await Promise.all(
    [foreign, client, expired, made_up, "x"].map((token) => gateway.as(token)("GET", at("/flags"))),
  );
  const missing = await gateway.ask(at("/flags"));
  const nowhere = await gateway.as(foreign)("GET", "/v1/projects/none/environments/none/flags");
  for (const answer of [...answers, missing, nowhere]) {
    problem(answer, 401, "unauthenticated");
    assert.equal(answer.text, missing.text, "no hint which");
    assert.equal(answer.headers.get("www-authenticate"), "Bearer");
  }
});

test("history, differences and revert", async () => {
  const path = at("/flags/history");
  const author = gateway.as((await api("POST", "/v1/tokens", { kind: "admin", role: "editor", name: "ann" })).body.token);
  const first = await author("PUT", path, some(5), { "headgate-reason": "begins" });
  const wider = await author("PATCH", path, { rules: { some: { share: 25 } } }, { "headgate-reason": "wider" });
  const third = await author("PATCH", path, { enabled: false });
  const { items } = (await api("GET", `${path}/history`)).body;
  assert.deepEqual(
    items.map(({ revision, action, reason, deleted }) => [revision, action, reason, deleted]),
    [
      [3, "patch", undefined, false],
      [2, "patch", "wider", false],
      [1, "create", "begins", false],
    ],
  );
  assert.match(items[0].actor, /^ann \(t\d+\)$/);
  assert.deepEqual((await api("GET", `${path}/history?limit=2&after=3`)).body.items.map(({ revision }) => revision), [2, 1]);
  assert.deepEqual((await api("GET", `${path}/history/2`)).body, wider.body);
  const { changes } = (await api("GET", `${path}/diff?from=1&to=2`)).body;
  assert.deepEqual(changes, [{ op: "replace", path: "/rules/0/serve/share", from: 5, to: 25 }]);

  const reverted = await api("POST", `${path}/revert`, { revision: 1, reason: "too wide" });
  assert.deepEqual([reverted.status, reverted.body], [200, first.body]);
  assert.notEqual(reverted.etag, first.etag, "a revert is a revision of its own");
  assert.deepEqual((await api("GET", `${path}/diff?from=1&to=4`)).body.changes, []);
  problem(await api("PUT", path, third.body, { "if-match": third.etag }), 412, "stale-etag");

  await api("DELETE", path, undefined, { "if-match": "*" });
  const back = await api("POST", `${path}/revert`, { revision: 2 });
  assert.deepEqual([back.status, back.body], [201, wider.body]);
});

test("versions have no gaps and can be read and compared", async () => {
  await gateway.import({ project: "versions", environments: { e: {} } });
  const base = "/v1/projects/versions/environments/e";
  await made(`${base}/flags/a`, flag());
  await api("PATCH", `${base}/flags/a`, { enabled: false });
  await api("PUT", `${base}/flags/b`, "{");
  const { items } = (await api("GET", `${base}/versions`)).body;
  assert.deepEqual(items.map(({ version, action, entity }) => [version, action, entity]), [
    [3, "patch", "flags/a"],
    [2, "create", "flags/a"],
    [1, "create", "environment"],
  ]);
  const earlier = (await api("GET", `${base}/versions/2`)).body;
  assert.equal(earlier.environments.e.flags.a.enabled ?? true, true);
  const { changes } = (await api("GET", `${base}/diff?from=2&to=3`)).body;
  assert.deepEqual(changes.map(({ path }) => path), ["/flags/a/enabled"]);
  problem(await api("GET", `${base}/versions/9`), 404, "unknown-revision");
});

test("the audit says who did what, why, and what it was before", async () => {
  const path = at("/flags/audited");
  const first = await api("PUT", path, flag(), { "headgate-reason": "asked for" });
  const second = await api("PUT", path, flag({ description: "x" }), { "if-match": first.etag });
  await api("POST", `${path}/kill`, { reason: "on fire" });
  await api("PUT", path, "{", { "if-match": second.etag });
  const { items } = (await api("GET", at("/audit?entity=flags/audited"))).body;
  assert.deepEqual(
    items.map(({ action, actor, reason, before: old, after }) => ({ action, actor, reason, before: old, after })),
    [
      { action: "kill", actor: "owner", reason: "on fire", before: false, after: true },
      { action: "update", actor: "owner", reason: undefined, before: first.body, after: second.body },
      { action: "create", actor: "owner", reason: "asked for", before: undefined, after: first.body },
    ],
  );
  assert.ok(items.every(({ at: time }) => Math.abs(Date.parse(time) - Date.now()) < 60_000));
  assert.equal((await api("GET", at("/audit?actor=nobody"))).body.items.length, 0);
  assert.equal((await api("GET", at(`/audit?to=${items[2].at}&limit=200`))).body.items.some((one) => one.entity === "flags/audited"), false);

  // The chain as anybody can check it: each entry's hash is over its text without the hash.
  const all = [];
  for (let after = ""; after !== undefined; ) {
    const { body } = await api("GET", at(`/audit?limit=50${after && `&after=${after}`}`));
    all.push(...body.items);
    after = body.next;
  }
  all.reverse();
  assert.deepEqual(all.map(({ sequence }) => sequence), all.map((_, index) => index + 1));
  let previous = "0".repeat(64);
  for (const { hash, ...entry } of all) {
    assert.equal(entry.previous, previous);
    assert.equal(createHash("sha256").update(JSON.stringify(entry)).digest("hex"), hash, `entry ${entry.sequence}`);
    previous = hash;
  }
});

test("environments are compared and flags copied between them", async () => {
  await made(at("/segments/copied", "staging"), { include: ["u-9"] });
  await made(at("/flags/copied", "staging"), flag({ rules: [{ id: "s", if: { segment: "copied" }, serve: "on" }] }));
  await made(at("/flags/copied"), flag());
  const paths = async () => (await api("GET", at("/compare?with=staging"))).body.changes.map(({ path }) => path);
  assert.ok((await paths()).includes("/flags/copied/rules"));
  const dry = await api("POST", at("/copy"), { from: "staging", flags: ["copied"], dryRun: true });
  assert.deepEqual([dry.body.created, dry.body.updated, dry.body.dryRun], [1, 1, true]);
  problem(await api("GET", at("/segments/copied")), 404, "unknown-entity");
  const { salt } = (await api("GET", at("/flags/copied"))).body;
  assert.equal((await api("POST", at("/copy"), { from: "staging", flags: ["copied"], reason: "tested" })).status, 200);
  const copied = (await api("GET", at("/flags/copied"))).body;
  assert.deepEqual([copied.rules[0].if, copied.salt], [{ segment: "copied" }, salt], "nobody changes buckets");
  assert.ok(!(await paths()).some((path) => path.startsWith("/flags/copied")));
  const audit = (await api("GET", at("/audit?entity=flags/copied&limit=1"))).body.items[0];
  assert.deepEqual([audit.action, audit.reason], ["copy", "tested"]);
  problem(await api("POST", at("/copy"), { from: "staging", flags: ["none"] }), 404, "unknown-entity");
});

test("what was exported comes back the same, and a dry run only says so", async () => {
  await gateway.import(JSON.parse(readFileSync(example("swapjoy"))));
  const base = "/v1/projects/swapjoy/environments/production";
  const exported = await api("GET", `${base}/export`);
  const again = await api("POST", `${base}/import?mode=replace`, exported.text);
  assert.deepEqual([again.body.created, again.body.updated, again.body.deleted], [0, 0, 0]);

  const document = exported.body;
  delete document.environments.production.flags.camera_scan;
  document.environments.production.flags.search_page_size.default = "large";
  const { version } = (await api("GET", base)).body;
  const dry = await api("POST", `${base}/import?mode=replace&dryRun=true`, document);
  assert.deepEqual([dry.body.deleted, dry.body.updated, dry.body.dryRun], [1, 1, true]);
  const line = dry.body.changes.find(({ entity }) => entity === "flags/search_page_size");
  assert.deepEqual(line.changes, [{ op: "replace", path: "/default", from: "normal", to: "large" }]);
  assert.equal((await api("GET", base)).body.version, version);
  assert.equal((await api("GET", `${base}/export`)).text, exported.text);
  assert.equal((await api("POST", `${base}/import?mode=replace`, document)).status, 200);
  problem(await api("GET", `${base}/flags/camera_scan`), 404, "unknown-entity");
  assert.equal((await api("POST", `${base}/import?mode=replace`, exported.text)).status, 200);
  assert.equal((await api("GET", `${base}/export`)).text, exported.text);

  const broken = structuredClone(document);
  Object.assign(broken.environments.production.flags, { half: flag(), bad: { type: "colour" } });
  const refused = await api("POST", `${base}/import`, broken);
  const places = problem(refused, 422, "invalid-document").problems.map(({ pointer }) => pointer);
  assert.ok(places.every((place) => place.startsWith("/environments/production/flags/bad")), String(places));
  problem(await api("GET", `${base}/flags/half`), 404, "unknown-entity");
});

test("explain says why, now and at an earlier version", async () => {
  const path = at("/flags/explained");
  const rules = [
    { id: "staff", if: { attribute: "staff", equals: true }, serve: "on" },
    { id: "some", serve: { share: 100, variants: { on: 100 } } },
  ];
  const { headers } = await made(path, flag({ rules }));
  const version = Number(headers.get("headgate-version"));
  await api("PATCH", path, { rules: { some: { share: 0 } } });
  const explain = async (rest = {}) => {
    const { status, body, text } = await api("POST", at("/explain"), { flag: "explained", context: { targetingKey: "u-1" }, ...rest });
    assert.equal(status, 200, text);
    return body;
  };
  const { answer, steps } = await explain();
  assert.deepEqual([answer.variant, answer.value], ["off", false]);
  assert.deepEqual(steps.map(({ step }) => step), ["rule", "rule", "share", "default"]);
  assert.deepEqual([steps[0].rule, steps[0].holds, steps[0].if.holds], ["staff", false, false]);
  assert.ok(Number.isInteger(steps[2].bucket) && steps[2].bucket < 100_000, JSON.stringify(steps[2]));
  const earlier = await explain({ version });
  assert.deepEqual([earlier.answer.variant, earlier.version], ["on", version]);
  const context = { targetingKey: "u-1", staff: true };
  assert.equal((await explain({ context })).answer.variant, "on");
  await api("POST", `${path}/kill`);
  const killed = await explain({ context });
  assert.deepEqual([killed.answer.variant, killed.steps[0].step], ["off", "kill"]);
  assert.equal((await explain({ context, version })).answer.variant, "on", "kills are of the present");
  problem(await api("POST", at("/explain"), { flag: "none" }), 404, "unknown-entity");
  problem(await api("POST", at("/explain"), { flag: "explained", version: version + 1_000 }), 422, "invalid-document");
});

test("tokens rotate with an overlap, and a revoked one is refused at the edge within the bound", async () => {
  await made(at("/flags/tokens"), flag());
  const create = async () => (await api("POST", at("/tokens"), { kind: "client", name: "app" })).body;
  const [short, long] = [await create(), await create()];
  const status = async ({ token }) => (await gateway.evaluate(token, "tokens")).status;
  await until(async () => (await status(short)) === 200 && (await status(long)) === 200, 8_000);

  const rotated = (await api("POST", at(`/tokens/${short.id}/rotate`), { overlap: 2, reason: "90 days" })).body;
  assert.equal(rotated.replaces.id, short.id);
  await until(async () => (await status(rotated)) === 200, 8_000);
  await until(async () => (await status(short)) === 401, 8_000);
  assert.equal(await status(rotated), 200, "the new one stays good");

  const revokedAt = Date.now();
  assert.equal((await api("DELETE", at(`/tokens/${long.id}`))).status, 204);
  await until(async () => (await status(long)) === 401, 10_000);
  assert.ok(Date.now() - revokedAt < 10_000);
  const list = await api("GET", at("/tokens"));
  assert.ok(list.body.items.some(({ id }) => id === rotated.id) && !list.body.items.some(({ id }) => id === long.id));
  assert.doesNotMatch(list.text, /hg[cs]_|sha256/, "secrets are shown once");
});

test("context keys rotate", async () => {
  const { body } = await api("GET", at("/context-key"));
  assert.equal(body.keys.length, 1);
  const rotated = await api("POST", at("/context-key/rotate"), { overlap: 60 });
  assert.equal(rotated.status, 201);
  assert.equal(rotated.body.keys[1].key, body.keys[0].key);
  assert.notEqual(rotated.body.keys[0].key, body.keys[0].key);
  assert.ok(Date.parse(rotated.body.keys[1].expiresAt) > Date.now());
});

test("every admin answer carries security headers", async () => {
  const answers = [
    await api("GET", at("/flags")),
    await api("GET", at("/flags/none")),
    await gateway.ask(at("/flags")),
    await api("POST", "/v1/tokens", { kind: "admin", role: "viewer", name: "x" }),
    await api("DELETE", "/v1/tokens/t1"),
    await gateway.ask("/health"),
    await gateway.ask("/"),
  ];
  for (const { headers, status } of answers) {
    assert.equal(headers.get("x-content-type-options"), "nosniff", status);
    assert.match(headers.get("strict-transport-security"), /^max-age=\d{8}/);
    assert.equal(headers.get("cache-control"), "no-store");
  }
  const page = answers.at(-1);
  assert.match(page.headers.get("content-type"), /^text\/html/);
  assert.match(page.headers.get("content-security-policy"), /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(page.headers.get("x-frame-options"), "DENY");
});
