// The five example products as their people use them: what apps are answered, what release
// engineers change, what on-call kills. Everything goes over HTTP into one fresh server.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { before, describe, test } from "node:test";
import { example, start, until } from "./harness.mjs";

/** Units in a share: five standard deviations hold but for once in a million. */
const UNITS = 600;
const BOUND = 10_000;
const units = Array.from({ length: UNITS }, (_, index) => `unit-${index}`);

/**
 * Of each product:
 *   answers       environment, kind of token, flag, context and what it must be answered:
 *                 variant, reason, rule
 *   shares        environment, flag, what each unit adds to its context, per cent of each variant
 *   widen         one change of a release engineer: the flag, the PATCH, the share before and after
 *   kill          environment, flag, off variant, and what else goes dark with it
 *   updates       environment, channel, what the app says, action
 *   site          the routed host: where each variant sends visitors, and how many
 */
const PRODUCTS = {
  pairity: {
    answers: [
      ["development", "client", "enable_video_chat", {}, "on STATIC"],
      ["development", "client", "matching_engine_v2", {}, "on STATIC"],
      ["staging", "server", "enable_video_chat", { email: "Eva@PAIRITY.example" }, "on TARGETING_MATCH internal"],
      ["production", "client", "enable_video_chat", { groups: ["beta"] }, "on TARGETING_MATCH beta"],
      ["production", "client", "enable_video_chat", { app_version: "2.2.9", country: "DE" }, "off DEFAULT"],
      ["production", "client", "enable_video_chat", { app_version: "2.5.0", country: "US" }, "off DEFAULT"],
      ["production", "client", "voice_prompts", { country: "CH" }, "on TARGETING_MATCH german"],
      ["production", "client", "voice_prompts", { country: "FR" }, "off DEFAULT"],
      ["production", "client", "read_receipts", { plan: "premium" }, "off DEFAULT"],
      ["production", "server", "read_receipts", { plan: "premium" }, "on TARGETING_MATCH premium"],
      ["production", "client", "onboarding_flow", { signed_up_at: "2026-01-05" }, "control TARGETING_MATCH known"],
      ["production", "client", "health_checks", { device: { battery: 0.1 } }, "light TARGETING_MATCH low-battery"],
      ["production", "client", "health_checks", { device: { battery: 0.9 } }, "all DEFAULT"],
    ],
    shares: [
      ["production", "enable_video_chat", { app_version: "2.3.0", country: "DE" }, { on: 25, off: 75 }],
      ["production", "matching_engine_v2", { email: "a@pairity.example" }, { on: 5, off: 95 }],
      ["production", "matching_engine_v2", {}, { on: 0, off: 100 }],
      ["production", "onboarding_flow", {}, { control: 100 / 3, guided: 100 / 3, video: 100 / 3 }],
    ],
    widen: {
      flag: "matching_engine_v2",
      context: { sessions_last_30_days: 25 },
      on: "on",
      from: 25,
      patch: { rules: { "early-adopters": { share: 50 } } },
      to: 50,
    },
    kill: ["production", "enable_video_chat", "off", []],
    updates: [
      ["production", "ios", "version=2.2.9&osVersion=17.4", "required"],
      ["production", "ios", "version=2.2.9", "recommended"],
      ["production", "ios", "version=2.2.9&osVersion=14.8", "none"],
      ["production", "ios", "version=2.5.1&osVersion=17.4", "none"],
      ["production", "android", "version=2.3.1&osVersion=33", "required"],
    ],
  },

  pulse: {
    answers: [
      ["development", "client", "voiceMessages", {}, "on STATIC"],
      ["development", "client", "splitViewRatio", {}, "wide STATIC"],
      ["production", "client", "splitViewLayout", {}, "on SPLIT"],
      ["production", "client", "toolsPanel", {}, "on SPLIT"],
      ["production", "client", "voiceMessages", {}, "off DISABLED"],
      ["production", "client", "threadedReplies", { time: "2026-11-01T00:00:00Z", group: "internal" }, "off DEFAULT"],
      ["production", "client", "threadedReplies", { time: "2026-12-09T00:00:00Z" }, "on TARGETING_MATCH week-4-all"],
    ],
    shares: [
      ["production", "smartFolders", {}, { on: 25, off: 75 }],
      ["production", "aiSummarization", {}, { on: 50, off: 50 }],
      ["production", "threadedReplies", { time: "2026-11-18T00:00:00Z", group: "internal" }, { on: 10, off: 90 }],
      ["production", "threadedReplies", { time: "2026-11-25T00:00:00Z", group: "beta-testers" }, { on: 25, off: 75 }],
      ["production", "threadedReplies", { time: "2026-12-02T00:00:00Z", group: "early-adopters" }, { on: 50, off: 50 }],
      ["production", "splitViewRatio", {}, { even: 50, wide: 50 }],
      // A half has no summaries and so no style: those answer `bullets`, the off variant.
      ["production", "aiSummaryStyle", {}, { bullets: 66.5, prose: 16.5, headline: 17 }],
    ],
    widen: { flag: "smartFolders", on: "on", from: 25, patch: { default: { share: 50 } }, to: 50 },
    kill: ["production", "splitViewLayout", "off", ["toolsPanel", "splitViewRatio"]],
    updates: [],
  },

  avalo: {
    answers: [
      ["dev", "client", "aiCompanions", {}, "on DEFAULT"],
      ["dev", "server", "payoutProvider", {}, "second STATIC"],
      ["staging", "server", "aiCompanions", { roles: ["staff"] }, "on TARGETING_MATCH internal"],
      ["production", "client", "ai_companions_enabled", {}, "on STATIC"],
      ["production", "client", "aiCompanions", { adult: true }, "off TARGETING_MATCH not-for-minors"],
      ["production", "server", "aiCompanions", { adult: true, roles: ["moderator"] }, "on TARGETING_MATCH internal"],
      [
        "production", "server", "aiCompanions",
        { adult: true, platform: "ios", app_version: "4.1.9", roles: ["staff"] },
        "off TARGETING_MATCH cannot-report",
      ],
      [
        "production", "server", "aiCompanions",
        { adult: true, creator: { id: "c-0008" } },
        "on TARGETING_MATCH founders",
      ],
      [
        "production", "server", "companionCreativity",
        { time: "2026-12-25T00:00:00Z" },
        "calm TARGETING_MATCH christmas",
      ],
      ["production", "server", "companionCreativity", { time: "2026-12-28T00:00:00Z" }, "normal DEFAULT"],
      ["production", "server", "payoutProvider", { currency: "USD" }, "first DEFAULT"],
    ],
    shares: [
      ["production", "aiCompanions", { adult: true }, { on: 5, off: 95 }],
      ["production", "payoutProvider", (id) => ({ currency: "eur", creator: { id } }), { second: 10, first: 90 }],
      ["production", "payoutProvider", { currency: "EUR", creator: { id: "c-7" } }, "one for all"],
    ],
    widen: {
      flag: "aiCompanions",
      context: { adult: true },
      on: "on",
      from: 5,
      patch: { default: { share: 50 } },
      to: 50,
    },
    kill: ["production", "ai_companions_enabled", "off", ["aiCompanions"]],
    updates: [
      ["production", "ios", "version=3.9&osVersion=16.2", "required"],
      ["production", "android", "version=4.2.6&build=4206&osVersion=33", "required"],
      ["production", "ios-testflight", "version=4.4.0-rc.2", "none"],
    ],
  },

  swapjoy: {
    answers: [
      ["staging", "client", "site", {}, "green STATIC"],
      ["staging", "client", "bundle", { binary_version: "3.4.0" }, "next TARGETING_MATCH fits"],
      ["staging", "client", "search_page_size", {}, "large STATIC"],
      ["production", "client", "site", { targetingKey: "smoke-test-1" }, "green TARGETING_MATCH internal"],
      ["production", "client", "bundle", { binary_version: "3.3.9" }, "stable DEFAULT"],
      ["production", "client", "bundle", { binary_version: "4.0.0" }, "stable DEFAULT"],
      ["production", "client", "match_suggestions", { track: "beta" }, "on TARGETING_MATCH beta"],
      ["production", "client", "camera_scan", { platform: "android", binary_version: "3.4.9" }, "off DEFAULT"],
      [
        "production", "client", "camera_scan",
        { platform: "ios", binary_version: "3.5.0", device: { model: "iPhone16,2" } },
        "on TARGETING_MATCH ios",
      ],
      ["production", "client", "search_page_size", {}, "normal STATIC"],
    ],
    shares: [
      ["production", "site", {}, { green: 10, blue: 90 }],
      ["production", "bundle", { binary_version: "3.4.2" }, { next: 25, stable: 75 }],
    ],
    widen: {
      flag: "camera_scan",
      context: { platform: "android", binary_version: "3.5.0" },
      on: "on",
      from: 25,
      patch: { rules: { android: { share: 50 } } },
      to: 50,
    },
    kill: ["production", "site", "blue", []],
    updates: [
      ["production", "android", "version=3.1", "required"],
      ["production", "ios", "version=3.5.1", "none"],
    ],
    site: {
      host: "swapjoy.localhost",
      to: { green: "https://green.swapjoy.example", blue: "https://blue.swapjoy.example" },
      shares: { green: 10, blue: 90 },
    },
  },

  "pinky-promise": {
    answers: [
      ["staging", "client", "site", {}, "canary STATIC"],
      ["staging", "client", "api_cache_seconds", {}, "none STATIC"],
      ["production", "client", "api_cache_seconds", {}, "normal DEFAULT"],
      ["production", "client", "api_cache_seconds", { roles: ["team"] }, "normal DEFAULT"],
      ["production", "server", "api_cache_seconds", { roles: ["team"] }, "none TARGETING_MATCH internal"],
      ["production", "client", "promise_reminders", {}, "off DEFAULT"],
      ["production", "server", "requests_per_minute", { partner: "florist-chain" }, "partner TARGETING_MATCH partners"],
      ["production", "server", "requests_per_minute", {}, "normal DEFAULT"],
    ],
    shares: [
      ["production", "site", {}, { canary: 5, stable: 95 }],
      ["production", "promise_reminders", (unit) => ({ promise: { id: unit } }), { on: 12.5, off: 87.5 }],
      ["production", "promise_reminders", { promise: { id: "p-7" } }, "one for all"],
      ["production", "security_headers", {}, { reporting: 1, strict: 99 }],
    ],
    widen: { flag: "site", on: "canary", from: 5, patch: { default: { share: 50 } }, to: 50 },
    kill: ["production", "requests_per_minute", "tight", []],
    updates: [],
    site: {
      host: "pinky-promise.localhost",
      to: { canary: "https://canary.pinky-promise.example", stable: "https://stable.pinky-promise.example" },
      shares: { canary: 5, stable: 95 },
    },
  },
};

const documents = Object.fromEntries(
  Object.keys(PRODUCTS).map((product) => [product, JSON.parse(readFileSync(example(product), "utf8"))]),
);
const said = ({ variant, reason, metadata }) => [variant, reason, metadata?.rule].filter(Boolean).join(" ");

let gateway;
/** By `product/environment kind`. */
const tokens = {};

before(async (t) => {
  gateway = await start({ t });
  for (const product of Object.keys(PRODUCTS)) {
    await gateway.import(documents[product]);
    for (const environment of Object.keys(documents[product].environments)) {
      for (const kind of ["client", "server"]) {
        tokens[`${product}/${environment} ${kind}`] = await gateway.token(product, environment, kind);
      }
    }
  }
  const known = (token) => until(async () => (await gateway.evaluate(token)).status === 200, BOUND, 200);
  await Promise.all(Object.values(tokens).map(known));
});

/** What is answered for one flag, which must be the same alone and among all. */
async function answer(name, flag, context) {
  const asked = { targetingKey: "unit-0", ...context };
  const one = await gateway.evaluate(tokens[name], flag, asked);
  const { body, status } = await gateway.evaluate(tokens[name], undefined, asked);
  assert.deepEqual([one.status, status], [200, 200], one.text);
  assert.deepEqual(body.flags.find(({ key }) => key === flag), one.body, `${name} ${flag}: alone as among all`);
  return one.body;
}

/** Connections that are kept: `fetch` costs more than the answers here, of which there are thousands. */
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

/** The variant that a unit is given. */
function variant(name, flag, context) {
  const headers = { authorization: `Bearer ${tokens[name]}`, "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const sent = request(`${gateway.url}/ofrep/v1/evaluate/flags/${flag}`, { method: "POST", agent, headers });
    sent.on("error", reject).on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (data) => (text += data));
      response.on("end", () => resolve(JSON.parse(text).variant));
    });
    sent.end(JSON.stringify({ context }));
  });
}

/** The variant of each unit. */
async function variants(name, flag, context = {}, among = units) {
  const of = async (unit) => {
    const more = typeof context === "function" ? context(unit) : context;
    return [unit, await variant(name, flag, { targetingKey: unit, ...more })];
  };
  return new Map(await Promise.all(among.map(of)));
}

/** Asserts that of `total` about `percent` per cent are `count`: five standard deviations. */
function near(count, percent, total, what) {
  const share = percent / 100;
  const most = 5 * Math.sqrt(total * share * (1 - share));
  assert.ok(Math.abs(count - total * share) <= most, `${what}: ${count} of ${total} are not ${percent} %`);
}

const counted = (list, one) => list.filter((each) => each === one).length;

/** Waits until a server token's answers are of this version of the environment, or a later one. */
async function published(scope) {
  const [product, environment] = scope.split("/");
  const { version } = (await gateway.api("GET", `/v1/projects/${product}/environments/${environment}`)).body;
  await until(async () => {
    const { headers } = await gateway.evaluate(tokens[`${scope} server`]);
    return Number(headers.get("headgate-version")) >= version;
  }, BOUND);
}

const path = (product, environment, flag) => `/v1/projects/${product}/environments/${environment}/flags/${flag}`;

/** Where visitors of a routed host are sent, with the cookie that each has afterwards. */
async function visit(host, visitors) {
  const one = async (cookie) => {
    const headers = cookie ? { cookie } : {};
    const response = await gateway.miniflare.dispatchFetch(`http://${host}/a/b?c=d`, { redirect: "manual", headers });
    assert.equal(response.status, 302);
    const to = response.headers.get("location");
    assert.ok(to.endsWith("/a/b?c=d"), to);
    return { to: new URL(to).origin, cookie: cookie ?? response.headers.get("set-cookie").split(";")[0] };
  };
  return Promise.all(visitors.map(one));
}

describe("the example products", { concurrency: true }, () => {
  for (const [product, { answers, shares, widen, kill, updates, site }] of Object.entries(PRODUCTS)) {
    const { environments } = documents[product];

    describe(product, { concurrency: 1 }, () => {
      test("who asks is answered by what they are, in each environment", async () => {
        for (const [environment, kind, flag, context, expected] of answers) {
          const found = await answer(`${product}/${environment} ${kind}`, flag, context);
          assert.equal(said(found), expected, `${environment} ${flag} ${JSON.stringify(context)}`);
          assert.deepEqual(found.value, environments[environment].flags[flag].variants[found.variant]);
        }
        assert.deepEqual(new Set(answers.map(([environment]) => environment)), new Set(Object.keys(environments)));
      });

      test("client tokens see what is marked for them, server tokens all", async () => {
        for (const [environment, { flags }] of Object.entries(environments)) {
          const all = Object.keys(flags).toSorted();
          const visible = all.filter((flag) => flags[flag].client);
          for (const [kind, expected] of [["client", visible], ["server", all]]) {
            const { body } = await gateway.evaluate(tokens[`${product}/${environment} ${kind}`]);
            assert.deepEqual(body.flags.map(({ key }) => key).toSorted(), expected, `${environment} ${kind}`);
          }
          for (const flag of all.filter((one) => !flags[one].client)) {
            const hidden = await gateway.evaluate(tokens[`${product}/${environment} client`], flag);
            assert.deepEqual([hidden.status, hidden.body.errorCode], [404, "FLAG_NOT_FOUND"], flag);
          }
        }
      });

      test("shares are as written, and everybody stays where they are", async () => {
        for (const [environment, flag, context, expected] of shares) {
          const name = `${product}/${environment} server`;
          const first = await variants(name, flag, context);
          const again = await variants(name, flag, context, units.slice(0, 50));
          for (const [unit, variant] of again) assert.equal(variant, first.get(unit), `${flag} of ${unit}`);
          const found = [...first.values()];
          if (expected === "one for all") assert.equal(new Set(found).size, 1, flag);
          else {
            for (const [each, percent] of Object.entries(expected)) {
              near(counted(found, each), percent, UNITS, `${flag} ${each}`);
            }
            assert.deepEqual(new Set(Object.keys(expected)), new Set([...Object.keys(expected), ...found]), flag);
          }
        }
      });

      test(`${widen.flag} is widened from ${widen.from} to ${widen.to} %, and nobody leaves`, async () => {
        const { flag, context, on, from, patch, to } = widen;
        const name = `${product}/production server`;
        const earlier = await variants(name, flag, context);
        const { status, text } = await gateway.api("PATCH", path(product, "production", flag), patch);
        assert.equal(status, 200, text);
        await published(`${product}/production`);
        const later = await variants(name, flag, context);
        near(counted([...earlier.values()], on), from, UNITS, "before");
        near(counted([...later.values()], on), to, UNITS, "after");
        const left = units.filter((unit) => earlier.get(unit) === on && later.get(unit) !== on);
        assert.deepEqual(left, []);
      });

      test(`${kill[1]} is killed and comes back`, async () => {
        const [environment, flag, off, others] = kill;
        const scope = `${product}/${environment} server`;
        const context = { targetingKey: "unit-0" };
        const before = await answer(scope, flag, context);
        const verb = async (word) => {
          const target = `${path(product, environment, flag)}/${word}`;
          const { status, text } = await gateway.api("POST", target, { reason: "a test" });
          assert.equal(status, 200, text);
        };
        await verb("kill");
        for (const each of [flag, ...others]) {
          const reason = await until(async () => {
            const found = await answer(scope, each, context);
            return found.reason === "DISABLED" && found;
          }, BOUND);
          assert.equal(reason.variant, each === flag ? off : environments[environment].flags[each].off);
          if (each === flag) assert.equal(reason.metadata.cause, "kill");
        }
        const everybody = await variants(scope, flag, {}, units.slice(0, 50));
        assert.deepEqual(new Set(everybody.values()), new Set([off]));
        await verb("unkill");
        await until(async () => said(await answer(scope, flag, context)) === said(before), BOUND);
      });

      if (updates.length > 0) {
        test("apps that are too old are told to update", async () => {
          for (const [environment, channel, facts, action] of updates) {
            const headers = { authorization: `Bearer ${tokens[`${product}/${environment} client`]}` };
            const { status, body } = await gateway.ask(`/v1/update?channel=${channel}&${facts}`, { headers });
            assert.deepEqual([status, body.action], [200, action], `${channel} ${facts}`);
            const { storeUrl = null } = environments[environment].channels[channel];
            if (action !== "none") assert.equal(body.storeUrl, storeUrl);
          }
        });
      }

      if (site) {
        test("visitors are sent to one of two sites and stay there, and a kill sends all back", async () => {
          // As the document has it: another test may have widened it.
          const flag = environments.production.flags.site;
          await gateway.api("PUT", path(product, "production", "site"), flag, { "if-match": "*" });
          await published(`${product}/production`);
          const first = await visit(site.host, Array.from({ length: UNITS }));
          for (const [variant, percent] of Object.entries(site.shares)) {
            near(counted(first.map(({ to }) => to), site.to[variant]), percent, UNITS, variant);
          }
          const again = await visit(site.host, first.map(({ cookie }) => cookie));
          assert.deepEqual(again, first);
          assert.equal((await gateway.api("POST", `${path(product, "production", "site")}/kill`)).status, 200);
          await until(async () => {
            const sites = (await visit(site.host, first.slice(0, 100).map(({ cookie }) => cookie))).map(({ to }) => to);
            return counted(sites, site.to[flag.off]) === 100;
          }, BOUND);
          await gateway.api("POST", `${path(product, "production", "site")}/unkill`);
        });
      }
    });
  }
});

test("web pages of a product's own origins may ask, others may not", async () => {
  const asked = async (product, origin) => {
    const token = tokens[`${product}/production client`];
    const { status, headers } = await gateway.evaluate(token, undefined, {}, { headers: { origin } });
    return status === 200 ? headers.get("access-control-allow-origin") : status;
  };
  assert.equal(await asked("pinky-promise", "https://pinky-promise.example"), "https://pinky-promise.example");
  assert.equal(await asked("pinky-promise", "https://evil.example"), 403);
  assert.equal(await asked("pulse", "https://app.pulse.example"), "https://app.pulse.example");
});
