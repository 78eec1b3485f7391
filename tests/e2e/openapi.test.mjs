// The OpenAPI document that the Worker serves is true of the Worker: each operation, called as the
// document says, succeeds as the document says; what the document does not know is refused.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import Ajv2020 from "ajv/dist/2020.js";
import { start, until } from "./harness.mjs";

const BASE = "/v1/projects/p/environments/e";
const DOCUMENTS = {
  segments: { include: ["u-1"] },
  flags: {
    type: "boolean",
    variants: { on: true, off: false },
    off: "off",
    client: true,
    default: { share: 10, variants: { on: 100 }, else: "off" },
  },
  routes: { host: "p.localhost", flag: "k", targets: { on: "https://b.example", off: "https://a.example" } },
  channels: { platform: "ios", minimum: "2.0.0", releases: { k: { version: "2.1.0" } } },
};
const PROJECT = {
  project: "p",
  environments: {
    e: Object.fromEntries(Object.entries(DOCUMENTS).map(([kind, document]) => [kind, { k: document }])),
    twin: { flags: { other: DOCUMENTS.flags } },
  },
};
const TOKEN = { kind: "admin", role: "viewer", name: "a token" };

/** Bodies of requests, by the name of their schema. */
const BODIES = {
  AvailabilityReport: { source: "lookup", storefronts: { CH: true } },
  ChannelPatch: { minimum: "2.0.1" },
  CopyRequest: { from: "twin", flags: ["other"] },
  Empty: {},
  EvaluationRequest: { context: { targetingKey: "u-1" } },
  EventBatch: { events: [{ type: "exposure", unit: "u-1", flag: "k" }] },
  ExplainRequest: { flag: "k", context: { targetingKey: "u-1" } },
  Flag: DOCUMENTS.flags,
  FlagPatch: { enabled: false },
  Segment: DOCUMENTS.segments,
  Release: { version: "2.2.0", build: 7 },
  Route: DOCUMENTS.routes,
  Channel: DOCUMENTS.channels,
  ProjectDocument: PROJECT,
  ProjectRequest: { name: "P" },
  LinkRequest: { variant: "on" },
  ReasonRequest: { reason: "a test" },
  RevertRequest: { revision: 1 },
  RotateRequest: {},
  Settings: { origins: ["*"] },
  StartupRequest: { app: "example.p", version: "1.0.0", channel: "k", unit: "u-1", attributes: { group: "a" } },
  TokenRequest: TOKEN,
  UpdateRequest: { channel: "k", version: "1.0.0", context: { targetingKey: "u-1" } },
};
/** Query parameters that are needed. */
const QUERIES = {
  deleteEnvironment: "confirm=e",
  update: "channel=k&version=1.0.0",
};
const METHODS = ["get", "post", "patch", "put", "delete"];

let gateway;
let document;
let client;

before(async (t) => {
  gateway = await start({ t });
  await gateway.import(PROJECT);
  for (const kind of Object.keys(DOCUMENTS)) {
    const changed = { ...DOCUMENTS[kind], description: "the second revision" };
    const { status, text } = await gateway.api("PUT", `${BASE}/${kind}/k`, changed, { "if-match": "*" });
    assert.equal(status, 200, text);
  }
  document = (await gateway.ask("/openapi.json")).body;
  client = await gateway.token("p", "e", "client");
  await until(async () => (await gateway.evaluate(client, "k")).status === 200, 8_000);
});

/** Every operation, in an order in which none takes away what a later one needs. */
function operations() {
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  // Of what is deleted: leaves before roots, and routes before the flags that they name.
  const weight = ({ path, method }) => {
    const depth = method === "delete" ? path.split("/").length : 0;
    return [METHODS.indexOf(method), -depth, path.includes("/routes") ? 0 : 1];
  };
  return all.toSorted((a, b) => weight(a).map((part, at) => part - weight(b)[at]).find((part) => part !== 0) ?? 0);
}

/** A path with something that is there in every place. */
async function filled(path, method) {
  if (path === "/v1/projects/{project}" && method === "delete") {
    await gateway.api("PUT", "/v1/projects/empty", {});
    return "/v1/projects/empty";
  }
  const target = path
    .replace("{project}", "p")
    .replace("{environment}", "e")
    .replace("{key}", "k")
    .replace("{release}", "k")
    .replace(/\{(revision|version)\}/, "1");
  if (!target.includes("{token}")) return target;
  const { body } = await gateway.api("POST", target.slice(0, target.indexOf("/{token}")), TOKEN);
  return target.replace("{token}", body.id);
}

const schemaName = (content) => content?.["application/json"]?.schema.$ref?.split("/").at(-1);
const isEvaluation = (operation) => /client or server token/.test(operation.description ?? "");

function query({ operationId, parameters = [] }) {
  if (QUERIES[operationId]) return `?${QUERIES[operationId]}`;
  const names = parameters.filter((one) => one.in === "query").map(({ name }) => name);
  if (names.includes("with")) return "?with=twin";
  return names.join() === "from,to" ? "?from=1&to=2" : "";
}

function validators() {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: "openapi", components: document.components });
  return (content) => ajv.compile(JSON.parse(JSON.stringify(content.schema).replaceAll('"#/', '"openapi#/')));
}

test("a method that the document does not name is refused with those that it names", async () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    const named = Object.keys(methods);
    const evaluation = isEvaluation(methods[named[0]]);
    const expected = [...named, ...(evaluation ? ["options"] : [])].map((method) => method.toUpperCase()).toSorted();
    const target = path.replace(/\{(revision|version)\}/, "1").replace(/\{\w+\}/g, "k");
    for (const method of METHODS.filter((one) => !named.includes(one))) {
      const api = evaluation ? gateway.as(client) : gateway.api;
      const { status, headers, text } = await api(method.toUpperCase(), target);
      assert.equal(status, 405, `${method} ${path}: ${text}`);
      assert.deepEqual(headers.get("allow").split(", ").toSorted(), expected, `${method} ${path}`);
    }
  }
});

test("what needs a token is refused without one, and no path but the document's is a route", async () => {
  for (const { path, method, operation } of operations()) {
    const target = path.replace(/\{(revision|version)\}/, "1").replace(/\{\w+\}/g, "k") + query(operation);
    const body = operation.requestBody && JSON.stringify(BODIES[schemaName(operation.requestBody.content)]);
    const headers = body ? { "content-type": "application/json" } : {};
    const { status, text } = await gateway.ask(target, { method: method.toUpperCase(), headers, body });
    assert.equal(status === 401, operation.security.length > 0, `${method} ${path}: ${status} ${text}`);
  }
  const others = ["/v1", "/v1/", "/v1/projects/", `${BASE}/colours`, "/metrics/", "/ofrep/v1", "/openapi.yaml"];
  for (const path of others) {
    const { status, body } = await gateway.api("GET", path);
    assert.deepEqual([status, body.type], [404, "urn:headgate:problem:not-found"], path);
  }
});

async function opened(target) {
  const { status, headers, body } = await gateway.fetch(target, { headers: { authorization: `Bearer ${client}` } });
  await body.cancel();
  return { status, headers };
}

// The last one: it takes away what it was given.
test("each operation succeeds as the document says", async () => {
  const validator = validators();
  const called = operations();
  assert.ok(called.length > 60, `${called.length} operations`);
  const wrong = [];
  for (const { path, method, operation } of called) {
    const name = `${method.toUpperCase()} ${path}`;
    const { content } = operation.requestBody ?? {};
    const body = content && BODIES[schemaName(content)];
    assert.ok(!content || body, `${name}: no body for ${JSON.stringify(content)}`);
    if (body && !validator(content["application/json"])(body)) wrong.push(`${name}: refuses ${JSON.stringify(body)}`);

    const api = isEvaluation(operation) ? gateway.as(client) : gateway.api;
    const conditional = operation.parameters?.some((one) => one.name === "If-Match") ? { "if-match": "*" } : {};
    const target = (await filled(path, method)) + query(operation);
    // A stream has no end: its head alone is looked at.
    const answer = operation.operationId === "stream" ? await opened(target) : await api(method.toUpperCase(), target, body, conditional);
    const documented = answer.status < 300 ? operation.responses[answer.status] : undefined;
    if (documented === undefined) {
      wrong.push(`${name}: ${answer.status} ${answer.text.slice(0, 200)}`);
      continue;
    }
    const type = answer.headers.get("content-type")?.split(";")[0];
    if (Object.keys(documented.content ?? {}).join() !== (type ?? "")) wrong.push(`${name}: answers ${type}`);
    else if (type === "application/json") {
      const valid = validator(documented.content[type]);
      if (!valid(answer.body)) wrong.push(`${name}: ${JSON.stringify(valid.errors)} in ${answer.text.slice(0, 200)}`);
    }
  }
  assert.deepEqual(wrong, []);
});
