// The released OpenFeature clients, unchanged, over HTTP: npm's server and web providers and
// PyPI's. The web provider runs in Chromium, from another origin than the gateway.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import test from "node:test";
import { promisify } from "node:util";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OpenFeature } from "@openfeature/server-sdk";
import { inRoot } from "../../scripts/lib/paths.mjs";
import { openPage } from "./browser.mjs";
import { start, until } from "./harness.mjs";

const flag = (type, variants, rest = {}) => {
  const off = Object.keys(variants)[0];
  return { type, variants, off, client: true, default: off, ...rest };
};
const ANSWER = { nested: { list: [1, 2.5, "x"] }, empty: {} };
const DOCUMENT = {
  project: "clients",
  environments: {
    test: {
      settings: { origins: ["*"] },
      flags: {
        yes: flag("boolean", { off: false, on: true }, { default: "on" }),
        text: flag("string", { de: "Grüezi «Welt»" }),
        whole: flag("integer", { ten: 10 }),
        real: flag("float", { ten: 10, half: 0.5 }),
        thing: flag("object", { answer: ANSWER }),
        dark: flag("boolean", { off: false, on: true }, { enabled: false, default: "on" }),
        split: flag("boolean", { off: false, on: true }, { default: { share: 50, variants: { on: 100 }, else: "off" } }),
        premium: flag(
          "string",
          { no: "no", yes: "yes" },
          { rules: [{ id: "premium", if: { attribute: "plan", equals: "premium" }, serve: "yes" }] },
        ),
        internal: { ...flag("boolean", { off: false, on: true }), client: false },
      },
    },
  },
};
const UNIT = { targetingKey: "u-1", plan: "premium" };
/** What every client must make of UNIT: value, reason, variant. */
const EXPECTED = {
  yes: [true, "STATIC", "on"],
  text: ["Grüezi «Welt»", "STATIC", "de"],
  whole: [10, "STATIC", "ten"],
  real: [10, "STATIC", "ten"],
  thing: [ANSWER, "STATIC", "answer"],
  dark: [false, "DISABLED", "off"],
  premium: ["yes", "TARGETING_MATCH", "yes"],
};

async function prepared(t) {
  const gateway = await start({ t });
  await gateway.import(DOCUMENT);
  const [client, server] = await Promise.all(["client", "server"].map((kind) => gateway.token("clients", "test", kind)));
  // A token is good once the publication that carries it is seen.
  await until(async () => (await gateway.evaluate(client)).status === 200 && (await gateway.evaluate(server)).status === 200, 8_000);
  return { gateway, client, server };
}

test("npm's server provider", async (t) => {
  const { gateway, server } = await prepared(t);
  const headers = [["Authorization", `Bearer ${server}`]];
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: gateway.url, headers }));
  t.after(() => OpenFeature.close());
  const client = OpenFeature.getClient();
  const details = {
    boolean: (key, context) => client.getBooleanDetails(key, false, context),
    string: (key, context) => client.getStringDetails(key, "default", context),
    integer: (key, context) => client.getNumberDetails(key, -1, context),
    float: (key, context) => client.getNumberDetails(key, -1, context),
    object: (key, context) => client.getObjectDetails(key, {}, context),
  };
  for (const [key, [value, reason, variant]] of Object.entries(EXPECTED)) {
    const { type } = DOCUMENT.environments.test.flags[key];
    const found = await details[type](key, UNIT);
    assert.deepEqual([found.value, found.reason, found.variant], [value, reason, variant], key);
    assert.equal(typeof found.flagMetadata.revision, "number", key);
  }
  const missing = await client.getBooleanDetails("no-such-flag", true, UNIT);
  assert.deepEqual([missing.value, missing.errorCode], [true, "FLAG_NOT_FOUND"]);
  const unit = await client.getBooleanDetails("split", true, {});
  assert.deepEqual([unit.value, unit.errorCode], [true, "TARGETING_KEY_MISSING"]);
  const wrong = await client.getStringDetails("yes", "default", UNIT);
  assert.deepEqual([wrong.value, wrong.errorCode], ["default", "TYPE_MISMATCH"]);
});

test("PyPI's provider", async (t) => {
  const { gateway, server } = await prepared(t);
  const python = inRoot(".tools/venv/bin/python");
  const args = [inRoot("tests/e2e/openfeature_client.py"), gateway.url, server, JSON.stringify(UNIT)];
  const { stdout } = await promisify(execFile)(python, args);
  const found = JSON.parse(stdout);
  for (const [key, expected] of Object.entries(EXPECTED)) assert.deepEqual(found[key], expected, key);
  assert.deepEqual(found["no-such-flag"], [true, "FLAG_NOT_FOUND"]);
  assert.deepEqual(found.split, [true, "TARGETING_KEY_MISSING"]);
});

/** A page that holds npm's web provider. */
const page = (t) =>
  openPage(
    t,
    `import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
     import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
     Object.assign(globalThis, { OpenFeature, OFREPWebProvider, ProviderEvents });`,
  );

test("npm's web provider, in a browser", async (t) => {
  const { gateway, client } = await prepared(t);
  const browser = await page(t);
  const statuses = [];
  browser.on("response", (response) => {
    if (response.url().includes("/ofrep/") && response.request().method() === "POST") statuses.push(response.status());
  });
  const found = await browser.evaluate(
    async ({ baseUrl, token, unit }) => {
      const provider = new OFREPWebProvider({ baseUrl, headers: [["Authorization", `Bearer ${token}`]], pollInterval: 500 });
      await OpenFeature.setContext(unit);
      await OpenFeature.setProviderAndWait(provider);
      const client = OpenFeature.getClient();
      const three = ({ value, reason, variant }) => [value, reason, variant];
      return {
        yes: three(client.getBooleanDetails("yes", false)),
        text: three(client.getStringDetails("text", "")),
        whole: three(client.getNumberDetails("whole", -1)),
        real: three(client.getNumberDetails("real", -1)),
        thing: three(client.getObjectDetails("thing", {})),
        dark: three(client.getBooleanDetails("dark", true)),
        premium: three(client.getStringDetails("premium", "")),
        hidden: client.getBooleanDetails("internal", true).errorCode,
      };
    },
    { baseUrl: gateway.url, token: client, unit: UNIT },
  );
  const { hidden, ...visible } = found;
  assert.deepEqual(visible, EXPECTED);
  assert.equal(hidden, "FLAG_NOT_FOUND", "clients do not see what is not marked for them");

  await until(() => statuses.includes(304), 5_000);
  const value = () => browser.evaluate(() => OpenFeature.getClient().getBooleanValue("yes", false));
  assert.equal(await value(), true);
  const { status } = await gateway.api("PATCH", "/v1/projects/clients/environments/test/flags/yes", { enabled: false });
  assert.equal(status, 200);
  await until(async () => (await value()) === false, 15_000);

  // The provider shows what it kept for the unit first, and what the gateway answers next.
  await browser.evaluate(() => OpenFeature.setContext({ targetingKey: "u-1", plan: "free" }));
  await until(() => browser.evaluate(() => OpenFeature.getClient().getStringValue("premium", "") === "no"));
});
