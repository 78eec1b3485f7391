// Redirecting routes and hostnames: a real browser, two real sites, hosts that are claimed, lost and unknown.
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { start, until } from "./harness.mjs";
import { site } from "./upstream.mjs";

const ENVIRONMENT = "/v1/projects/shop/environments/production";
const share = (percent) => ({
  type: "string",
  variants: { blue: "blue", green: "green" },
  off: "blue",
  rules: [{ id: "canary", serve: { share: percent, variants: { green: 100 }, else: "blue" } }],
  default: "blue",
});

/** A request to the gateway under another name: `*.localhost` is nobody's business but the browser's. */
const visit = (gateway, host, path = "/", init = {}) =>
  gateway.miniflare.dispatchFetch(`http://${host}${path}`, { redirect: "manual", ...init });

describe("a redirecting route", () => {
  const ends = [];
  const t = { after: (end) => ends.push(end) };
  let gateway, blue, green, browser, base;

  const set = async (flag) => {
    const { etag } = await gateway.api("GET", `${ENVIRONMENT}/flags/site`);
    assert.equal((await gateway.api("PUT", `${ENVIRONMENT}/flags/site`, flag, { "if-match": etag })).status, 200);
  };
  /** Waits until a visitor with this unit is sent to a colour. */
  const sent = (cookie, to) =>
    until(async () => (await visit(gateway, "shop.localhost", "/", { headers: { cookie } })).headers.get("location")?.startsWith(to.origin), 10_000);

  before(async () => {
    // Names below the routed one are the same site to a browser: its cookies come along.
    const named = (colour) => site(t, colour, `${colour}.shop.localhost`);
    [blue, green] = [await named("blue"), await named("green")];
    gateway = await start({ t });
    const routes = { web: { host: "shop.localhost", flag: "site", targets: { blue: blue.origin, green: green.origin } } };
    await gateway.import({ project: "shop", environments: { production: { flags: { site: share(100) }, routes }, staging: {} } });
    base = `http://shop.localhost:${new URL(gateway.url).port}`;
    await sent("hg_unit=u1", green);
    assert.ok(process.env.CHROMIUM, "$CHROMIUM names the browser");
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
    t.after(() => browser.close());
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  test("a browser follows it, keeps its unit, and comes back to the same colour", async () => {
    await set(share(50));
    await until(async () => (await visit(gateway, "shop.localhost")).headers.get("location").startsWith(blue.origin), 10_000);
    const seen = new Set();
    for (let visitor = 0; visitor < 12 && seen.size < 2; visitor += 1) {
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(`${base}/cart?item=7`);
      const colour = await page.textContent("body");
      assert.match(page.url(), /\/cart\?item=7$/);
      const [cookie] = (await context.cookies(base)).filter(({ name }) => name === "hg_unit");
      assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.domain], [true, "Lax", "shop.localhost"]);
      for (let again = 0; again < 3; again += 1) {
        await page.goto(`${base}/cart?item=8`);
        assert.equal(await page.textContent("body"), colour);
      }
      assert.deepEqual((await context.cookies(base)).find(({ name }) => name === "hg_unit").value, cookie.value);
      seen.add(colour.trim());
      await context.close();
    }
    assert.equal(seen.size, 2, "both colours are seen");
  });

  test("a tester's link shows what nobody else gets, until it is taken back", async () => {
    await set(share(0));
    // Some of these were sent to the other colour before.
    for (let unit = 1; unit <= 20; unit += 1) await sent(`hg_unit=u${unit}`, blue);
    const { status, body, text } = await gateway.api("POST", `${ENVIRONMENT}/routes/web/link`, { variant: "green" });
    assert.equal(status, 201, text);
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(base);
    assert.equal((await page.textContent("body")).trim(), "blue");
    const { search } = new URL(body.url);
    await page.goto(`${base}/preview${search}`);
    assert.equal((await page.textContent("body")).trim(), "green");
    assert.equal(new URL(page.url()).search, "", "the ticket is not passed on");
    await page.goto(`${base}/next`);
    assert.equal((await page.textContent("body")).trim(), "green", "the visit goes on");
    await page.goto(`${base}/?hg_variant=`);
    assert.equal((await page.textContent("body")).trim(), "blue");
    await context.close();
  });

  test("a kill of the flag and of the route sends everybody to stable", async () => {
    await set(share(100));
    await sent("hg_unit=u1", green);
    for (const what of ["flags/site", "routes/web"]) {
      assert.equal((await gateway.api("POST", `${ENVIRONMENT}/${what}/kill`, {})).status, 200);
      await sent("hg_unit=u1", blue);
      assert.equal((await gateway.api("POST", `${ENVIRONMENT}/${what}/unkill`, {})).status, 200);
      await sent("hg_unit=u1", green);
    }
  });

  test("colours are swapped and the former one stays warm for testers", async () => {
    const { body } = await gateway.api("POST", `${ENVIRONMENT}/routes/web/link`, { variant: "blue", seconds: 60 });
    const init = { headers: { "headgate-override": body.ticket } };
    assert.ok((await visit(gateway, "shop.localhost", "/", init)).headers.get("location").startsWith(blue.origin));
  });

  test("guests are not counted, methods are kept, and what varies is nobody's to keep", async () => {
    const location = async (init) => (await visit(gateway, "shop.localhost", "/a?b=1", init)).headers.get("location");
    for (const headers of [{ "sec-purpose": "prefetch" }, { "user-agent": "Googlebot/2.1" }]) {
      assert.equal(await location({ headers }), `${blue.origin}/a?b=1`);
    }
    assert.equal(await location({ method: "HEAD" }), `${blue.origin}/a?b=1`);
    const post = await visit(gateway, "shop.localhost", "/a", { method: "POST", body: "x" });
    assert.equal(post.status, 307);
    assert.equal(post.headers.get("cache-control"), "private, no-store");
    assert.equal(post.headers.get("strict-transport-security"), null, "the product's site is not ours to bind");
  });

  test("no request leads out of the configured targets", async () => {
    for (const path of ["//evil.example/%2e%2e", "/%2F%2Fevil.example", "/\\evil.example", "/@evil.example", "/a%0d%0aset-cookie:%20x=y", "/..%2f..%2f"]) {
      const response = await visit(gateway, "shop.localhost", path, { headers: { cookie: "hg_unit=u1" } });
      assert.equal(response.status, 302, path);
      assert.equal(new URL(response.headers.get("location")).origin, green.origin, path);
      assert.equal(response.headers.get("set-cookie"), null, path);
    }
    const large = await visit(gateway, "shop.localhost", "/", { headers: { cookie: `hg_unit=${"x".repeat(6_000)}` } });
    assert.equal(large.status, 302);
    assert.match(large.headers.get("set-cookie"), /^hg_unit=[0-9a-f]{32};/);
  });

  test("the beacon of a target reports for the visitor's unit", async () => {
    green.beacon = `${base}/.headgate/beacon.js`;
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${base}/reporting`);
    assert.match(page.url(), /green\.shop\.localhost/);
    await page.goto("about:blank");
    // Load time, errors and failures; without the cookie nothing would be counted.
    const counted = 'headgate_events{environment="shop/production",type="measurement"} 3';
    await until(async () => (await gateway.api("GET", "/metrics")).text.includes(counted), 10_000);
    const init = { method: "POST", body: "{}", headers: { origin: "https://evil.example" } };
    assert.equal((await visit(gateway, "shop.localhost", "/.headgate/beacon", init)).status, 403);
    await context.close();
  });

  test("a token is good only on a host of its own environment", async () => {
    const tokens = { production: await gateway.token("shop", "production", "client"), staging: await gateway.token("shop", "staging", "client") };
    const ask = (environment) =>
      visit(gateway, "shop.localhost", "/.headgate/ofrep/v1/evaluate/flags", {
        method: "POST", body: "{}", headers: { authorization: `Bearer ${tokens[environment]}` },
      });
    await until(async () => (await ask("production")).status === 200, 10_000);
    const foreign = await ask("staging");
    assert.deepEqual([foreign.status, (await foreign.json()).errorCode], [403, "GENERAL"]);
  });

  test("a hostname is one environment's until its last route goes", async () => {
    const staging = "/v1/projects/shop/environments/staging";
    const flag = share(0);
    await gateway.api("PUT", `${staging}/flags/site`, flag);
    const route = { host: "shop.localhost", flag: "site", targets: { blue: blue.origin, green: green.origin } };
    const refused = await gateway.api("PUT", `${staging}/routes/web`, route);
    assert.deepEqual([refused.status, refused.body.problems[0].pointer], [409, "/host"]);
    await gateway.api("PUT", `${staging}/routes/own`, { ...route, host: "own.localhost" });
    const kv = await gateway.kv();
    await until(async () => (await kv.get("host/own.localhost")) === "shop/staging", 10_000);
    // Somebody damages KV's copies: the minute's round mends them.
    await kv.delete("host/own.localhost");
    await kv.put("host/shop.localhost", "shop/staging");
    await gateway.cron();
    assert.equal(await kv.get("host/own.localhost"), "shop/staging");
    assert.equal(await kv.get("host/shop.localhost"), "shop/production");
    const { etag } = await gateway.api("GET", `${staging}/routes/own`);
    assert.equal((await gateway.api("DELETE", `${staging}/routes/own`, undefined, { "if-match": etag })).status, 204);
    await until(async () => (await kv.get("host/own.localhost")) === null, 10_000);
  });
});

describe("hostnames", () => {
  const document = (blue) => ({
    project: "shop",
    environments: { production: { flags: { site: share(0) }, routes: { web: { host: "shop.localhost", flag: "site", targets: { blue: blue.origin, green: blue.origin } } } } },
  });

  test("where the gateway's own are named, nothing else is answered", async (t) => {
    const blue = await site(t, "blue");
    const gateway = await start({ t, vars: { GATEWAY_HOSTS: "127.0.0.1, gate.localhost" } });
    await gateway.import(document(blue));
    await until(async () => (await visit(gateway, "shop.localhost")).status === 302, 10_000);
    const status = async (host, path) => (await visit(gateway, host, path)).status;
    assert.equal(await status("gate.localhost", "/health"), 200);
    for (const path of ["/health", "/", "/v1/projects", "/ofrep/v1/evaluate/flags"]) {
      const unknown = await visit(gateway, "nobody.localhost", path);
      assert.deepEqual([unknown.status, unknown.headers.get("content-type")], [404, "application/problem+json"], path);
    }
    const own = { host: "gate.localhost", flag: "site", targets: { blue: blue.origin, green: blue.origin } };
    const refused = await gateway.api("PUT", `${ENVIRONMENT}/routes/own`, own);
    assert.deepEqual([refused.status, refused.body.problems[0].pointer], [422, "/host"]);
  });

  test("a cold isolate does not answer for a routed host, and a silent KV is no answer", async (t) => {
    const blue = await site(t, "blue");
    const gateway = await start({ t, faults: true, isolates: 3 });
    await gateway.import(document(blue));
    const kv = await gateway.kv();
    await until(async () => (await kv.get("host/shop.localhost")) === "shop/production", 10_000);
    const ask = async (path, isolate) => {
      const { port } = new URL(gateway.urls[isolate]);
      return new Promise((resolve, reject) => {
        const sent = request({ host: "127.0.0.1", port, path, headers: { host: "shop.localhost" }, agent: false }, (response) => {
          response.resume();
          resolve({ status: response.statusCode, location: response.headers.location, retry: response.headers["retry-after"] });
        });
        sent.on("error", reject).end();
      });
    };
    // The first thing that this isolate ever sees is an API path on a product's host.
    assert.equal((await ask("/ofrep/v1/evaluate/flags", 1)).location, `${blue.origin}/ofrep/v1/evaluate/flags`);
    // KV is away: the directory knows.
    await gateway.fault({ kv: { fail: true, only: ["get"] } }, 2);
    assert.equal((await ask("/cart", 2)).location, `${blue.origin}/cart`);
    // Both are away, in an isolate that knows nothing yet.
    await gateway.fault({ kv: { fail: true, only: ["get"] }, objects: { fail: true } }, 0);
    const answer = await ask("/cart", 0);
    assert.deepEqual([answer.status, answer.retry], [503, "2"]);
    await gateway.fault({}, 0);
    await until(async () => (await ask("/cart", 0)).location === `${blue.origin}/cart`, 10_000);
  });
});
