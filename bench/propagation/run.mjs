// How long a change takes until every request sees it: four isolates, Durable Objects 250 ms away
// with every fiftieth call 6 s, KV that has nothing to say, with and without a location's cache,
// under busy and sparse traffic.
//   node bench/propagation/run.mjs [--flips N] [--environments N] [--only "busy, cache"] [--json]
// Several environments are flipped at once, each by PATCH through the admin API. A flip has
// reached an isolate when no request sent later is answered with the value of before; counted from
// the acknowledgement of the PATCH, over every pair of flip and isolate.
import "../../scripts/lib/node.mjs";
import { parseArgs } from "node:util";
import { start, until } from "../../tests/e2e/harness.mjs";
import { quantile, report, table } from "../lib/figures.mjs";

const { values: options } = parseArgs({
  options: {
    flips: { type: "string", default: "10" },
    environments: { type: "string", default: "6" },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
});
const flips = Number(options.flips);
const environments = Array.from({ length: Number(options.environments) }, (_, at) => `e${at}`);

const ISOLATES = 4;
const PROJECT = "bench";
const FLAG = "switch";
const FAULTS = { objects: { delay: 250, slow: 6_000, slowEvery: 50 }, kv: { none: true } };
/** Mean pause between two requests for one environment at one isolate, ms. */
const TRAFFIC = { busy: 150, sparse: 3_000 };
const CASES = Object.keys(TRAFFIC).flatMap((traffic) => [true, false].map((cache) => ({ traffic, cache })));
/** A flip that has not reached every isolate by then is counted as this long, ms. */
const GIVE_UP = 30_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Arrivals of independent visitors: exponential, so that sparse traffic has long gaps and bursts. */
const gap = (mean) => Math.min(-Math.log(1 - Math.random()) * mean, 10 * mean);

function project() {
  const flag = { type: "boolean", variants: { on: true, off: false }, off: "off", client: true, default: "on" };
  return { project: PROJECT, environments: Object.fromEntries(environments.map((name) => [name, { flags: { [FLAG]: flag } }])) };
}

/** One environment: its visitors at each isolate, and its flips. */
class Subject {
  #gateway;
  #name;
  #mean;
  #running = true;
  #visited = false;
  /** Of each isolate: when the last request was sent that was answered with each value. */
  #lastSent = Array.from({ length: ISOLATES }, () => new Map());
  latencies = [];
  failures = {};
  stale = 0;

  constructor(gateway, name, mean) {
    this.#gateway = gateway;
    this.#name = name;
    this.#mean = mean;
  }

  async open() {
    this.token = await this.#gateway.token(PROJECT, this.#name, "client");
    for (let isolate = 0; isolate < ISOLATES; isolate += 1) await until(() => this.#ask(isolate), 20_000);
  }

  async #ask(isolate) {
    const sent = performance.now();
    const { status, body, headers } = await this.#gateway.evaluate(this.token, FLAG, { targetingKey: "u-1" }, { isolate });
    this.latencies.push(performance.now() - sent);
    if (status !== 200) {
      if (this.#visited) this.failures[status] = (this.failures[status] ?? 0) + 1;
      return false;
    }
    if (headers.has("headgate-stale")) this.stale += 1;
    const last = this.#lastSent[isolate];
    last.set(body.value, Math.max(sent, last.get(body.value) ?? 0));
    return true;
  }

  /** Visitors do not wait for one another: a slow answer holds back nobody's request. */
  async #visit(isolate) {
    const asked = new Set();
    while (this.#running) {
      await pause(gap(this.#mean));
      const one = this.#ask(isolate).finally(() => asked.delete(one));
      asked.add(one);
    }
    await Promise.all(asked);
  }

  async #set(enabled) {
    const path = `/v1/projects/${PROJECT}/environments/${this.#name}/flags/${FLAG}`;
    const { status, text } = await this.#gateway.api("PATCH", path, { enabled });
    if (status !== 200) throw new Error(`the PATCH was refused: ${status} ${text}`);
    return performance.now();
  }

  /** Flips, and gives for each isolate how long after the acknowledgement the old value was still served. */
  async #flip(enabled) {
    const acknowledged = await this.#set(enabled);
    const seen = () => this.#lastSent.every((last) => (last.get(enabled) ?? 0) > Math.max(acknowledged, last.get(!enabled) ?? 0));
    while (!seen() && performance.now() < acknowledged + GIVE_UP) await pause(50);
    // Long enough for a straggler to bring the old value back.
    await pause(3_000 + Math.random() * 2_000);
    if (!seen()) return this.#lastSent.map(() => GIVE_UP);
    return this.#lastSent.map((last) => Math.max(0, (last.get(!enabled) ?? 0) - acknowledged));
  }

  async run() {
    this.#visited = true;
    const visitors = this.#lastSent.map((_, isolate) => this.#visit(isolate));
    await pause(5_000);
    const times = [];
    for (let flip = 0; flip < flips; flip += 1) {
      // A flag of false is a flag not enabled.
      times.push(...(await this.#flip(flip % 2 === 1)));
    }
    this.#running = false;
    await Promise.all(visitors);
    return times;
  }
}

async function measure({ traffic, cache }) {
  const gateway = await start({ isolates: ISOLATES, faults: true, cache });
  try {
    await gateway.import(project());
    const subjects = environments.map((name) => new Subject(gateway, name, TRAFFIC[traffic]));
    for (const subject of subjects) await subject.open();
    await gateway.fault(FAULTS);
    const times = (await Promise.all(subjects.map((subject) => subject.run()))).flat();
    const latencies = subjects.flatMap((subject) => subject.latencies);
    const failures = {};
    for (const [status, count] of subjects.flatMap((subject) => Object.entries(subject.failures))) failures[status] = (failures[status] ?? 0) + count;
    return {
      observations: times.length,
      p50_ms: quantile(times, 0.5),
      p99_ms: quantile(times, 0.99),
      max_ms: Math.max(...times),
      requests: latencies.length,
      failures,
      stale: subjects.reduce((sum, { stale }) => sum + stale, 0),
      latency: { p99_ms: quantile(latencies, 0.99), max_ms: Math.max(...latencies) },
    };
  } finally {
    await gateway.stop();
  }
}

async function main() {
  const figures = {};
  for (const each of CASES) {
    const name = `${each.traffic}, ${each.cache ? "cache" : "no cache"}`;
    if (options.only === "" || options.only === name) figures[name] = await measure(each);
  }
  const ms = (value) => value.toFixed(0);
  const rows = Object.entries(figures).map(([name, row]) => [
    name, row.observations, ms(row.p50_ms), ms(row.p99_ms), ms(row.max_ms),
    row.requests, Object.entries(row.failures).map(([status, count]) => `${count} of ${status}`).join(" ") || 0, row.stale, ms(row.latency.p99_ms), ms(row.latency.max_ms),
  ]);
  const head = ["traffic", "flips x isolates", "p50 ms", "p99 ms", "max ms", "requests", "failed", "stale", "answer p99 ms", "max ms"];
  report(options.json, figures, table(head, rows));
}

await main();
process.exit();
