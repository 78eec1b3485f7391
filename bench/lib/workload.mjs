// One workload for every engine: the hundred flags of `bench/evaluate`, in each engine's form. 60
// booleans rolled out to 25 %, 20 that everybody gets, 15 for a list of countries at 50 %, and 5
// with three rules (attribute in a list, semantic version, segment) and a weighted choice of
// three. The context misses the first two rules and meets the third.
import { mint, tokenEntry } from "./token.mjs";

export const ENVIRONMENT = "bench/production";
export const ORIGIN = "https://app.example";
export const BULK = "/ofrep/v1/evaluate/flags";
/** The flag of the single evaluation: three rules and a weighted choice. */
export const SINGLE = `${BULK}/flag_020`;

const ELSEWHERE = ["US", "CA", "MX", "BR", "AR", "CL", "PE", "CO"];
const HERE = ["AT", "BE", "CH", "DE", "ES", "FR", "IT", "NL"];
const LISTED = Array.from({ length: 100 }, (_, at) => `u-${at}`);
const WEIGHTS = [["red", 50], ["green", 30], ["blue", 20]];

export const CONTEXT = {
  targetingKey: "7f8c2f9e-5d0b-4a8e-9f43-0c6a1f2b3d4e",
  app_version: "2.4.1",
  country: "DE",
  email: "user@mail.example",
  group: "beta",
  locale: "de-DE",
  os: "ios",
  os_version: "17.5.1",
  plan: "premium",
  sessions: 42,
  notifications: true,
};
export const BODY = JSON.stringify({ context: CONTEXT });

function kind(at) {
  const place = at % 20;
  if (place === 0) return "targeted";
  if (place <= 3) return "countries";
  return place <= 7 ? "static" : "share";
}

export const FLAGS = Array.from({ length: 100 }, (_, at) => ({ key: `flag_${String(at).padStart(3, "0")}`, kind: kind(at) }));

const BOOLEAN = { type: "boolean", variants: { on: true, off: false }, off: "off", client: true };
const TARGETED = { type: "string", variants: { red: "#f00", green: "#0f0", blue: "#00f" }, off: "red", client: true };
const choice = Object.fromEntries(WEIGHTS);

const DOCUMENTS = {
  share: { ...BOOLEAN, default: { share: 25, variants: { on: 100 }, else: "off" } },
  static: { ...BOOLEAN, default: "on" },
  countries: {
    ...BOOLEAN,
    rules: [{ id: "here", if: { attribute: "country", in: HERE }, serve: { share: 50, variants: { on: 100 }, else: "off" } }],
    default: "off",
  },
  targeted: {
    ...TARGETED,
    rules: [
      { id: "elsewhere", if: { attribute: "country", in: ELSEWHERE }, serve: "red" },
      { id: "newer", if: { attribute: "app_version", semver: ">=3.0.0" }, serve: "green" },
      { id: "beta", if: { segment: "beta" }, serve: { share: 100, variants: choice } },
    ],
    default: "red",
  },
};

/** A flag of a kind as a snapshot holds it. */
export function entity({ key, kind }, id, revision = 1) {
  return { key, id, revision, document: { ...DOCUMENTS[kind], salt: `salt-of-${key}` } };
}

const SEGMENT = { include: LISTED, if: { attribute: "group", in: ["beta", "internal"] } };

/** A snapshot's text. */
export function snapshot({
  environment = ENVIRONMENT,
  version = 1,
  flags = FLAGS.map((flag, at) => entity(flag, at + 1)),
  segments = [{ key: "beta", revision: 1, document: SEGMENT }],
} = {}) {
  const tokens = ["client", "server"].map((kind) => tokenEntry(kind, mint(kind, environment)));
  const settings = { origins: [ORIGIN], trusted: [] };
  return JSON.stringify({
    format: 1, environment, incarnation: 1, version, settings, contextKeys: [],
    tokens, segments, flags, routes: [], channels: [],
  });
}

/** The pointer to that snapshot. */
export const pointer = (version = 1, sequence = version) =>
  JSON.stringify({ incarnation: 1, sequence, version, kill: false, killed: [] });

const fractional = (buckets) => ({ fractional: buckets });
const share = (percent) => fractional([["on", percent], ["off", 100 - percent]]);

/** The flags in flagd's form. */
export function flagdConfiguration() {
  const boolean = { state: "ENABLED", variants: BOOLEAN.variants, defaultVariant: "off" };
  const forms = {
    share: { ...boolean, targeting: share(25) },
    static: { ...boolean, defaultVariant: "on" },
    countries: { ...boolean, targeting: { if: [{ in: [{ var: "country" }, HERE] }, share(50), "off"] } },
    targeted: {
      state: "ENABLED", variants: TARGETED.variants, defaultVariant: "red",
      targeting: {
        if: [
          { in: [{ var: "country" }, ELSEWHERE] }, "red",
          { sem_ver: [{ var: "app_version" }, ">=", "3.0.0"] }, "green",
          { or: [{ in: [{ var: "targetingKey" }, LISTED] }, { in: [{ var: "group" }, ["beta", "internal"]] }] }, fractional(WEIGHTS),
          "red",
        ],
      },
    },
  };
  return { flags: Object.fromEntries(FLAGS.map(({ key, kind }) => [key, forms[kind]])) };
}

/** The flags in GrowthBook's form. */
export function growthbookPayload() {
  const hashAttribute = "targetingKey";
  const forms = {
    share: { defaultValue: false, rules: [{ force: true, coverage: 0.25, hashAttribute }] },
    static: { defaultValue: true },
    countries: { defaultValue: false, rules: [{ condition: { country: { $in: HERE } }, force: true, coverage: 0.5, hashAttribute }] },
    targeted: {
      defaultValue: "#f00",
      rules: [
        { condition: { country: { $in: ELSEWHERE } }, force: "#f00" },
        { condition: { app_version: { $vgte: "3.0.0" } }, force: "#0f0" },
        {
          condition: { $or: [{ targetingKey: { $in: LISTED } }, { group: { $in: ["beta", "internal"] } }] },
          variations: ["#f00", "#0f0", "#00f"], weights: WEIGHTS.map(([, weight]) => weight / 100), hashAttribute,
        },
      ],
    },
  };
  return { features: Object.fromEntries(FLAGS.map(({ key, kind }) => [key, forms[kind]])) };
}
