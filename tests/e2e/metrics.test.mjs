// `/metrics` speaks for the whole deployment, whichever isolate is asked.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OWNER_TOKEN, start, until } from "./harness.mjs";

const BASE = "/v1/projects/p/environments/e";
const FLAG = { type: "boolean", variants: { on: true, off: false }, off: "off", client: true, default: "on" };
const DOCUMENT = {
  project: "p",
  environments: {
    e: {
      segments: { beta: { include: ["u-1"] } },
      flags: { f: FLAG, g: FLAG },
      routes: { www: { host: "p.localhost", flag: "f", targets: { on: "https://b.example", off: "https://a.example" } } },
      channels: { ios: { platform: "ios", minimum: "2.0.0" } },
    },
    twin: { flags: { f: FLAG } },
  },
};
const requests = (endpoint, status) =>
  `headgate_requests_total{endpoint="${endpoint}",environment="p/e",status="${status}"}`;

/** The page: `{ text, series, isolate }`, where `series` maps a name with its labels to a value. */
async function page(gateway, isolate = 0) {
  const { status, text } = await gateway.as(OWNER_TOKEN, isolate)("GET", "/metrics");
  assert.equal(status, 200, text);
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const pairs = lines.map((line) => line.match(/^(.*) (-?\d+)$/).slice(1));
  return { text, series: Object.fromEntries(pairs.map(([name, value]) => [name, Number(value)])) };
}

/** Waits until the page of every isolate shows these values: asking one is what makes it send its counts. */
async function shown(gateway, expected, ms = 8_000) {
  const isolates = [...gateway.urls.keys()];
  await until(async () => {
    const pages = await Promise.all(isolates.map((isolate) => page(gateway, isolate)));
    for (const { series } of pages) {
      const found = Object.fromEntries(Object.keys(expected).map((name) => [name, series[name]]));
      assert.deepEqual(found, expected);
    }
    return true;
  }, ms, 100);
}

async function prepared(t, options) {
  const gateway = await start({ t, ...options });
  await gateway.import(DOCUMENT);
  const token = await gateway.token("p", "e", "client");
  const asked = {};
  /** Evaluates, and keeps count. */
  const evaluate = async (key, isolate) => {
    const { status } = await gateway.evaluate(token, key, { targetingKey: "u-1" }, { isolate });
    const name = requests(key === undefined ? "ofrep_flags" : "ofrep_flag", status);
    asked[name] = (asked[name] ?? 0) + 1;
    return status;
  };
  for (const isolate of gateway.urls.keys()) await until(async () => (await evaluate("f", isolate)) === 200);
  return { gateway, evaluate, asked };
}

describe("/metrics", { concurrency: 3 }, () => {
  test("requests of two isolates are added up, and a flush that is repeated is not", async (t) => {
    const { gateway, evaluate, asked } = await prepared(t, { isolates: 2 });
    for (const [isolate, times] of [3, 5].entries()) {
      for (let time = 0; time < times; time += 1) assert.equal(await evaluate("f", isolate), 200);
      assert.equal(await evaluate(undefined, isolate), 200);
      assert.equal(await evaluate("gone", isolate), 404);
    }
    assert.ok(asked[requests("ofrep_flag", 200)] >= 10);
    assert.deepEqual([asked[requests("ofrep_flags", 200)], asked[requests("ofrep_flag", 404)]], [2, 2]);
    await shown(gateway, asked);

    const isolates = await gateway.sql("MetricsDo", "metrics", "SELECT name, flush FROM isolate");
    assert.equal(isolates.length, 2, "each isolate has a name of its own");
    const [{ name: isolate, flush }] = isolates;
    const add = (number) =>
      gateway.call("METRICS", "metrics", { add: { isolate, flush: number, counters: [["test_total", {}, 7]] } });
    await add(flush + 100);
    await add(flush + 100);
    await add(flush + 99);
    assert.equal((await page(gateway)).series.test_total, 7);
    await add(flush + 101);
    assert.equal((await page(gateway)).series.test_total, 14);
  });

  test("counts survive the object's end, and its absence fails no request", async (t) => {
    const { gateway, evaluate, asked } = await prepared(t, { faults: true });
    await shown(gateway, asked);
    await gateway.evict("MetricsDo", "metrics");
    await shown(gateway, asked);
    await gateway.fault({ objects: { fail: true, only: ["METRICS"] } });
    assert.equal(await evaluate("f", 0), 200);
    const { status, body } = await gateway.api("GET", "/metrics");
    assert.deepEqual([status, body.type], [503, "urn:headgate:problem:unavailable"]);
  });

  test("what the control plane holds is shown, and forgotten with the environment", async (t) => {
    const { gateway } = await prepared(t, { isolates: 2 });
    const of = (name, environment = "p/e") => `${name}{environment="${environment}"}`;
    const first = {
      headgate_projects: 1,
      headgate_environments: 2,
      [of("headgate_flags")]: 2,
      [of("headgate_flags", "p/twin")]: 1,
      [of("headgate_segments")]: 1,
      [of("headgate_routes")]: 1,
      [of("headgate_channels")]: 1,
      [of("headgate_tokens")]: 1,
      [of("headgate_flags_killed")]: 0,
      [of("headgate_environment_killed")]: 0,
    };
    await shown(gateway, first);
    const { version } = (await gateway.api("GET", BASE)).body;
    await shown(gateway, { [of("headgate_environment_version")]: version });

    const change = async (method, path, body, headers) => {
      const { status, text } = await gateway.api(method, path, body, headers);
      assert.ok(status < 300, text);
    };
    await change("PUT", `${BASE}/flags/h`, FLAG);
    await change("POST", `${BASE}/flags/g/kill`);
    await change("POST", `${BASE}/kill`);
    await change("DELETE", `${BASE}/channels/ios`, undefined, { "if-match": "*" });
    await shown(gateway, {
      ...first,
      [of("headgate_flags")]: 3,
      [of("headgate_channels")]: undefined,
      [of("headgate_flags_killed")]: 1,
      [of("headgate_environment_killed")]: 1,
      [of("headgate_environment_version")]: version + 2,
    });

    await change("DELETE", "/v1/projects/p/environments/twin?confirm=twin");
    await until(async () => !(await page(gateway)).text.includes('"p/twin"'), 8_000);
    assert.equal((await page(gateway)).series.headgate_environments, 1);
  });

  test("the page is well-formed, explained, and for administrators", async (t) => {
    const { gateway, asked } = await prepared(t);
    await shown(gateway, asked);
    const { text, series } = await page(gateway);
    const head = Array.from(text.matchAll(/^# TYPE (\w+) (counter|gauge)$/gm), ([, name, kind]) => [name, kind]);
    const names = Object.keys(series).map((name) => name.replace(/\{.*/, ""));
    assert.deepEqual(new Set(names), new Set(head.map(([name]) => name)));
    for (const [name, kind] of head) {
      assert.equal(kind === "counter", name.endsWith("_total"), `${name} is a ${kind}`);
      assert.match(text, new RegExp(`^# HELP ${name} (?!A count of the deployment)`, "m"));
    }
    const viewer = await gateway.token("p", "e", "admin", "viewer");
    assert.equal((await gateway.as(viewer)("GET", "/metrics")).status, 200);
    for (const token of ["hg_owner_wrong", await gateway.token("p", "e", "server")]) {
      assert.equal((await gateway.as(token)("GET", "/metrics")).status, 401);
    }
    const denied = await until(async () => {
      const { series } = await page(gateway);
      return series['headgate_denied_total{surface="admin"}'];
    }, 8_000, 100);
    assert.equal(denied, 2);
  });

  test("uptime counts from the deployment, in an isolate that has just begun as well", async (t) => {
    const deployed = Date.now() - 86_400_000;
    const VERSION = { id: "v-7", timestamp: new Date(deployed).toISOString() };
    const gateway = await start({ t, isolates: 2, vars: { VERSION } });
    const uptime = (at) => Math.floor((at - deployed) / 1_000);
    for (const isolate of [0, 1]) {
      const from = Date.now();
      const { series } = await page(gateway, isolate);
      const { body } = await gateway.as(OWNER_TOKEN, isolate)("GET", "/health");
      assert.equal(series['headgate_deployment_info{version="v-7"}'], 1);
      assert.deepEqual([body.version, Date.parse(body.deployedAt)], ["v-7", deployed]);
      for (const seconds of [series.headgate_uptime_seconds, body.uptimeSeconds]) {
        assert.ok(seconds >= uptime(from) && seconds <= uptime(Date.now()), `${seconds} s`);
      }
    }
  });
});
