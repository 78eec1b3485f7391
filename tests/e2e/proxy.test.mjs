// Proxied routes: bodies and faults of two real sites behind one hostname.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { start, until } from "./harness.mjs";
import { site } from "./upstream.mjs";

const HOST = "shop.localhost";
const ENVIRONMENT = "/v1/projects/shop/environments/production";

const flag = (serve) => ({
  type: "string",
  variants: { blue: "blue", green: "green" },
  off: "blue",
  rules: [{ id: "canary", serve }],
  default: "blue",
});
const share = (percent) => flag({ share: percent, variants: { green: 100 }, else: "blue" });

/** Sends a request to the gateway under the routed name; undici would send its own. */
function ask(gateway, path, { method = "GET", headers = {}, body } = {}) {
  const { port } = new URL(gateway.url);
  const sent = request({ host: "127.0.0.1", port, path, method, headers: { host: `${HOST}:${port}`, ...headers }, agent: false });
  if (body?.pipe) body.pipe(sent);
  else sent.end(body);
  return new Promise((resolve, reject) => {
    sent.on("error", reject);
    sent.on("response", (response) => {
      const chunks = [];
      const answer = (failed) => {
        const bytes = Buffer.concat(chunks);
        const { statusCode: status, headers: head } = response;
        resolve({ status, headers: head, bytes, text: bytes.toString(), failed });
      };
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => answer(!response.complete));
      response.on("error", () => answer(true));
    });
  });
}

const change = async (gateway, path, body) => {
  const { etag } = await gateway.api("GET", `${ENVIRONMENT}${path}`);
  const { status, text } = await gateway.api("PUT", `${ENVIRONMENT}${path}`, body, { "if-match": etag });
  assert.equal(status, 200, text);
};

describe("a proxied route", () => {
  let gateway, blue, green;
  const to = (path, options) => ask(gateway, path, options);
  const route = (more = {}) => ({
    host: HOST,
    flag: "site",
    mode: "proxy",
    timeout: 1,
    targets: { blue: blue.origin, green: green.origin },
    ...more,
  });
  /** Sends everybody to green, or nobody. */
  const send = async (percent) => {
    await change(gateway, "/flags/site", share(percent));
    const wanted = percent === 100 ? "green" : "blue";
    await until(async () => (await to("/")).headers["x-colour"] === wanted, 10_000);
  };

  const ends = [];
  const t = { after: (end) => ends.push(end) };
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  before(async () => {
    [blue, green] = [await site(t, "blue"), await site(t, "green")];
    gateway = await start({ t });
    await gateway.import({ project: "shop", environments: { production: { flags: { site: share(100) }, routes: { web: route() } } } });
    await until(async () => (await to("/")).headers["x-colour"] === "green", 15_000);
  });

  test("streams bodies both ways, whole and unchanged", async () => {
    const body = randomBytes(5_000_000);
    const sha256 = createHash("sha256").update(body).digest("hex");
    const echoed = await to("/echo?a=1&b=%2F", { method: "POST", body, headers: { "content-type": "application/x-odd" } });
    const { method, url, headers, length, ...rest } = JSON.parse(echoed.text);
    assert.deepEqual([method, url, length, rest.sha256, rest.colour], ["POST", "/echo?a=1&b=%2F", body.length, sha256, "green"]);
    assert.equal(headers["content-type"], "application/x-odd");
    const back = await to("/piped", { method: "PUT", body });
    assert.ok(back.bytes.equals(body));
  });

  test("does not wait for the end of a body before it passes its beginning on", async () => {
    const { port } = new URL(gateway.url);
    const socket = connect(port, "127.0.0.1");
    socket.write(`POST /piped HTTP/1.1\r\nhost: ${HOST}:${port}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n`);
    let text = "";
    socket.on("data", (data) => (text += data));
    await until(() => text.includes("first"), 5_000);
    socket.write("4\r\nlast\r\n0\r\n\r\n");
    await until(() => text.includes("last"), 5_000);
    socket.destroy();
  });

  test("says who asks and drops what is between two alone", async () => {
    const { text } = await to("/echo", {
      headers: { connection: "x-hop", "x-hop": "1", te: "trailers", "proxy-authorization": "Basic x", "x-forwarded-for": "6.6.6.6", cookie: "a=b" },
    });
    const { headers } = JSON.parse(text);
    for (const dropped of ["x-hop", "te", "proxy-authorization", "headgate-override", "x-forwarded-for"]) {
      assert.equal(headers[dropped], undefined, dropped);
    }
    assert.match(headers["x-forwarded-host"], /^shop\.localhost:\d+$/);
    assert.deepEqual(
      [headers["x-forwarded-proto"], headers.via, headers["headgate-variant"], headers["headgate-hops"], headers.cookie],
      ["http", "1.1 headgate", "green", "1", "a=b"],
    );
    assert.equal(headers.host, new URL(green.origin).host);
  });

  test("adds the unit's cookie to those of the site, and names the variant", async () => {
    const first = await to("/", { headers: { "sec-fetch-dest": "document" } });
    const cookies = first.headers["set-cookie"];
    assert.deepEqual(cookies.slice(0, 2), ["green=1", "theme=dark"]);
    assert.match(cookies[2], /^hg_unit=[0-9a-f]{32}; Path=\/; Max-Age=31536000; HttpOnly; SameSite=Lax$/);
    assert.match(cookies[3], /^hg_pin\.web=green\.[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax$/);
    assert.equal(first.headers["headgate-variant"], "green");
    const again = await to("/", { headers: { cookie: cookies[2].split(";")[0] } });
    assert.deepEqual(again.headers["set-cookie"], ["green=1", "theme=dark"]);
    assert.equal((await to("/cached")).headers["cache-control"], "private, max-age=600");
  });

  test("keeps the target's address to itself", async () => {
    const login = await to("/login");
    assert.deepEqual([login.status, login.headers.location], [302, "/home?x=1"]);
  });

  test("passes HEAD, hints and an answer of unknown length", async () => {
    const head = await to("/", { method: "HEAD" });
    assert.deepEqual([head.status, head.headers["x-colour"], head.text], [200, "blue", ""], "HEAD is a guest");
    const pieces = await to("/pieces");
    assert.deepEqual([pieces.status, pieces.text, pieces.headers["content-length"]], [200, "first, last", undefined]);
    // workerd takes hints for the answer, and what follows them is lost: that is no answer, and never another's.
    for (let again = 0; again < 5; again += 1) {
      assert.equal((await to("/early", { method: "POST" })).status, 502);
      assert.equal((await to("/cached")).text, "green");
    }
  });

  test("passes websockets", async () => {
    const { port } = new URL(gateway.url);
    const headers = {
      host: `${HOST}:${port}`, connection: "Upgrade", upgrade: "websocket",
      "sec-websocket-version": "13", "sec-websocket-key": randomBytes(16).toString("base64"),
    };
    const sent = request({ host: "127.0.0.1", port, path: "/socket", headers, agent: false });
    sent.end();
    const [response, socket, first] = await once(sent, "upgrade");
    assert.equal(response.statusCode, 101);
    let text = first.toString();
    socket.on("data", (data) => (text += data));
    await until(() => text.includes("green"));
    socket.destroy();
    assert.ok(green.saw.some(({ method, url }) => method === "UPGRADE" && url === "/socket"));
  });

  test("falls back to stable where a safe request's canary is down", async () => {
    blue.faulty = false;
    for (const path of ["/refuse", "/hang", "/down"]) {
      const answer = await to(path);
      assert.deepEqual([answer.status, answer.headers["headgate-variant"], answer.headers["x-colour"]], [200, "blue", "blue"], path);
    }
    const own = await to("/broken");
    assert.deepEqual([own.status, own.text, own.headers["headgate-variant"]], [500, "broken", "green"], "its own errors are its own");
    blue.faulty = true;
  });

  test("answers 502 and 504 where it may not or cannot fall back", async () => {
    const problem = async (path, options) => {
      const { status, headers, text } = await to(path, options);
      assert.equal(headers["content-type"], "application/problem+json", text);
      return [status, JSON.parse(text).type.split(":").pop()];
    };
    assert.deepEqual(await problem("/refuse", { method: "POST", body: "x" }), [502, "bad-gateway"]);
    assert.deepEqual(await problem("/hang", { method: "POST", body: "x" }), [504, "gateway-timeout"]);
    assert.deepEqual(await problem("/refuse"), [502, "bad-gateway"], "both are down");
    assert.deepEqual(await problem("/hang"), [504, "gateway-timeout"]);
  });

  test("breaks off where the target breaks off, and serves on", async () => {
    const broken = await to("/reset").catch((error) => ({ failed: true, text: String(error) }));
    assert.equal(broken.failed, true, "half an answer is not taken for a whole one");
    for (let again = 0; again < 50; again += 1) await to("/reset").catch(() => {});
    assert.equal((await to("/")).status, 200);
  });

  test("stops what goes round", async () => {
    assert.equal((await to("/", { headers: { "headgate-hops": "4" } })).status, 508);
  });

  test("keeps only its own part of the host, and opens no way out of the target", async () => {
    for (const path of ["/health", "/v1/projects", "/ofrep/v1/evaluate/flags", "//evil.example/x", "/%2F%2Fevil.example", "/\\evil.example", "/a%0d%0aset-cookie:x=y"]) {
      const before = green.saw.length;
      const answer = await to(path);
      assert.equal(answer.headers["headgate-variant"], "green", path);
      assert.ok(green.saw.length > before, `${path} reached the site`);
    }
    const own = await to("/.headgate/v1/projects");
    assert.deepEqual([own.status, own.headers["strict-transport-security"]], [404, undefined]);
    assert.match((await to("/.headgate/beacon.js")).text, /sendBeacon/);
  });

  test("counts status classes and latencies per variant", async () => {
    const metrics = async () => (await gateway.api("GET", "/metrics")).text;
    const labels = 'environment="shop/production"';
    await until(async () => {
      const text = await metrics();
      return [
        `headgate_routed_total{class="2xx",${labels},exposed="true",route="web",variant="green"}`,
        `headgate_routed_total{class="5xx",${labels},exposed="true",route="web",variant="green"}`,
        `headgate_routed_total{class="refused",${labels},exposed="true",route="web",variant="green"}`,
        `headgate_routed_total{class="timeout",${labels},exposed="true",route="web",variant="green"}`,
        `headgate_routed_total{class="2xx",${labels},exposed="false",route="web",variant="blue"}`,
        `headgate_target_milliseconds_bucket{${labels},le="+Inf",route="web",variant="green"}`,
      ].every((line) => text.includes(line));
    }, 20_000);
  });

  test("a kill of the route sends everybody to stable, and an un-kill back", async () => {
    assert.equal((await gateway.api("POST", `${ENVIRONMENT}/routes/web/kill`, { reason: "test" })).status, 200);
    await until(async () => (await to("/")).headers["x-colour"] === "blue", 10_000);
    assert.equal((await to("/")).headers["set-cookie"].length, 2, "nobody is compared");
    await gateway.api("POST", `${ENVIRONMENT}/routes/web/unkill`, {});
    await until(async () => (await to("/")).headers["x-colour"] === "green", 10_000);
  });

  test("the parts of a page come from the page's version after a rollback; testers still reach it", async () => {
    const page = await to("/", { headers: { "sec-fetch-dest": "document" } });
    const cookie = page.headers["set-cookie"].map((each) => each.split(";")[0]).join("; ");
    const link = await gateway.api("POST", `${ENVIRONMENT}/routes/web/link`, { variant: "green", seconds: 600 });
    assert.equal(link.status, 201, link.text);
    await send(0);
    const part = await to("/app.js", { headers: { cookie, "sec-fetch-dest": "script" } });
    assert.match(part.text, /green's script/);
    assert.equal((await to("/", { headers: { cookie, "sec-fetch-dest": "document" } })).headers["x-colour"], "blue");
    assert.equal((await to("/", { headers: { "headgate-override": link.body.ticket } })).headers["x-colour"], "green");
    const path = new URL(link.body.url);
    const opened = await to(path.pathname + path.search);
    assert.equal(opened.headers["x-colour"], "green");
    assert.ok(!green.saw.at(-1).url.includes("hg_variant"), "the ticket stays at the gateway");
    const kept = opened.headers["set-cookie"].find((each) => each.startsWith("hg_variant=")).split(";")[0];
    assert.equal((await to("/", { headers: { cookie: kept } })).headers["x-colour"], "green");
  });
});
