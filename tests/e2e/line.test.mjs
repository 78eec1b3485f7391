// The thin line through all that the gateway does: a flag, a change, a kill, an event, an update
// check, a redirect.
import assert from "node:assert/strict";
import test from "node:test";
import { start, until } from "./harness.mjs";

const DOCUMENT = {
  project: "shop",
  environments: {
    production: {
      flags: {
        checkout: { type: "boolean", variants: { on: true, off: false }, off: "off", client: true, default: "on" },
        site: {
          type: "string",
          variants: { stable: "stable", canary: "canary" },
          off: "stable",
          default: { share: 50, variants: { canary: 100 }, else: "stable" },
        },
      },
      routes: {
        web: { host: "shop.localhost", flag: "site", targets: { stable: "https://old.example", canary: "https://new.example/v2" } },
      },
      channels: {
        ios: {
          platform: "ios", minimum: "2.0.0", storeUrl: "https://store.example/shop",
          releases: { "2.4.0": { availability: { "*": true } } },
        },
      },
    },
  },
};
const ENVIRONMENT = "/v1/projects/shop/environments/production";

test("a flag, a change, a kill, an event, an update check, a redirect", async (t) => {
  const gateway = await start({ t });
  await gateway.import(DOCUMENT);
  const token = await gateway.token("shop", "production", "client");
  const value = async () => (await gateway.evaluate(token, "checkout")).body.value;
  await until(async () => (await value()) === true, 10_000);

  assert.equal((await gateway.api("PATCH", `${ENVIRONMENT}/flags/checkout`, { enabled: false })).status, 200);
  await until(async () => (await value()) === false, 10_000);
  assert.equal((await gateway.api("PATCH", `${ENVIRONMENT}/flags/checkout`, { enabled: true })).status, 200);
  await until(async () => (await value()) === true, 10_000);
  assert.equal((await gateway.api("POST", `${ENVIRONMENT}/flags/checkout/kill`, { reason: "too many errors" })).status, 200);
  await until(async () => (await gateway.evaluate(token, "checkout")).body.metadata.cause === "kill", 10_000);

  const authorization = `Bearer ${token}`;
  const events = { events: [{ type: "conversion", id: "c-1", unit: "u-1", metric: "order", value: 12.5 }] };
  const sent = await gateway.ask("/v1/events", { method: "POST", headers: { authorization }, body: JSON.stringify(events) });
  assert.deepEqual([sent.status, sent.body], [202, { accepted: 1, rejected: [] }]);
  const counted = 'headgate_events{environment="shop/production",type="conversion"} 1';
  await until(async () => (await gateway.api("GET", "/metrics")).text.includes(counted), 10_000);

  const update = await gateway.ask("/v1/update?channel=ios&version=1.9.3", { headers: { authorization } });
  assert.equal(update.status, 200);
  assert.deepEqual([update.body.action, update.body.storeUrl], ["required", "https://store.example/shop"]);

  // Chromium and curl send `*.localhost` here; undici does not, so the URL is given whole.
  const visit = (cookie) =>
    gateway.miniflare.dispatchFetch("http://shop.localhost/cart?item=7", { redirect: "manual", headers: cookie ? { cookie } : {} });
  const first = await visit();
  assert.equal(first.status, 302);
  assert.match(first.headers.get("location"), /^https:\/\/(old\.example|new\.example\/v2)\/cart\?item=7$/);
  assert.equal(first.headers.get("cache-control"), "private, no-store");
  const cookie = first.headers.get("set-cookie").split(";")[0];
  for (let again = 0; again < 5; again += 1) {
    const next = await visit(cookie);
    assert.equal(next.headers.get("location"), first.headers.get("location"), "a visitor stays where he was");
    assert.equal(next.headers.get("set-cookie"), null);
  }
});
