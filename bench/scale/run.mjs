// A large environment, and many environments, in one isolate's wasm.
//   node bench/scale/run.mjs [--json]
// 10,000 flags, 500 segments and 50,000 listed units: CPU of loading the snapshot, of loading it
// again with one flag changed, memory, and a warm evaluation beside one among 100 flags. Then
// more environments than an isolate may hold: the least recently used must go, and the memory stay
// below its cap.
import "../../scripts/lib/node.mjs";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median, report, table } from "../lib/figures.mjs";
import { isolates } from "../lib/isolate.mjs";
import { mint } from "../lib/token.mjs";
import * as workload from "../lib/workload.mjs";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    // Prints the CPU of this process's first load, and ends.
    first: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds);

const MIB = 1_048_576;
const FLAGS = 10_000;
const SEGMENTS = 500;
const UNITS_EACH = 100;
const NOW = Date.now();

const kinds = workload.FLAGS.map(({ kind }) => kind);
const key = (at) => `flag_${String(at).padStart(5, "0")}`;

/** A flag; those with rules refer to the segments in turn. */
function flag(at, revision = 1) {
  const entity = workload.entity({ key: key(at), kind: kinds[at % kinds.length] }, at + 1, revision);
  const rules = entity.document.rules?.map((rule) => (rule.if.segment ? { ...rule, if: { segment: `segment_${at % SEGMENTS}` } } : rule));
  if (rules) entity.document.rules = rules;
  if (revision > 1) entity.document.description = `changed ${revision} times`;
  return entity;
}

const segments = Array.from({ length: SEGMENTS }, (_, at) => ({
  key: `segment_${at}`,
  revision: 1,
  document: {
    include: Array.from({ length: UNITS_EACH }, (_, unit) => `unit-${at}-${unit}`),
    if: { attribute: "group", in: ["beta", "internal"] },
  },
}));

function snapshot(version, { flags = FLAGS, environment = workload.ENVIRONMENT, changed } = {}) {
  const list = Array.from({ length: flags }, (_, at) => flag(at, at === changed ? version : 1));
  return workload.snapshot({ environment, version, flags: list, segments });
}

/** CPU of this process in milliseconds, V8's own threads included. */
function cpu(work) {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

const token = mint("client", workload.ENVIRONMENT);
const evaluation = (at) => ({ target: `${workload.BULK}/${key(at)}`, token, body: workload.BODY });

/** Microseconds of a warm single evaluation, from the text of the request to the frame. */
function evaluate(isolate, count) {
  const requests = Array.from({ length: 100 }, (_, at) => evaluation(Math.floor((at * count) / 100)));
  const run = (times) => {
    for (let time = 0; time < times; time += 1) {
      for (const request of requests) isolate.ask(request, NOW);
    }
  };
  if (!isolate.isReply(isolate.ask(requests[0], NOW))) throw new Error("not an answer");
  run(300);
  return median(Array.from({ length: 9 }, () => (cpu(() => run(200)) * 1_000) / (200 * requests.length)));
}

/** CPU of a load with nothing compiled yet, as an isolate on a fresh machine has it. */
function firstLoad() {
  return Number(execFileSync(process.execPath, [fileURLToPath(import.meta.url), "--first"], { encoding: "utf8" }));
}

async function large(isolate) {
  const text = snapshot(1);
  const load = cpu(() => isolate.load(workload.ENVIRONMENT, workload.pointer(1), text, NOW));
  const changed = snapshot(2, { changed: 4_711 });
  const reload = cpu(() => isolate.load(workload.ENVIRONMENT, workload.pointer(2), changed, NOW));
  return { text_bytes: text.length, load_ms: load, reload_ms: reload, memory_bytes: isolate.bytes };
}

/** Loads environments one after another, each used once; counts those still held at the end. */
async function many(isolate, count, flags) {
  const names = Array.from({ length: count }, (_, at) => `bench/e${at}`);
  const is = (name) => isolate.isReply(isolate.ask({ target: workload.BULK, token: mint("client", name), body: workload.BODY }, NOW));
  for (const environment of names) {
    isolate.load(environment, workload.pointer(1), snapshot(1, { flags, environment }), NOW);
    if (!is(environment)) throw new Error(`${environment} is not held after it was loaded`);
  }
  // From the newest on: asking for one that is gone loads nothing here.
  const held = names.map(is);
  const first = held.indexOf(true);
  const inOrder = held.slice(first).every(Boolean);
  return { environments: count, flags_each: flags, held: held.filter(Boolean).length, oldest_went_first: inOrder, memory_bytes: isolate.bytes };
}

async function main() {
  const make = await isolates();
  if (options.first) return console.log((await large(await make())).load_ms);
  const runs = [];
  for (let round = 0; round <= rounds; round += 1) runs.push(await large(await make()));
  const of = (what) => median(runs.slice(1).map((run) => run[what]));

  const isolate = await make();
  isolate.load(workload.ENVIRONMENT, workload.pointer(1), snapshot(1), NOW);
  const small = await make();
  small.load(workload.ENVIRONMENT, workload.pointer(1), snapshot(1, { flags: 100 }), NOW);
  const single = { of_10000_us: evaluate(isolate, FLAGS), of_100_us: evaluate(small, 100) };

  const figures = {
    text_bytes: runs[0].text_bytes,
    first_load_ms: median(Array.from({ length: rounds }, firstLoad)),
    load_ms: of("load_ms"),
    reload_ms: of("reload_ms"),
    memory_bytes: of("memory_bytes"),
    single,
    many: [await many(await make(), 60, 1_000), await many(await make(), 12, FLAGS)],
  };
  const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`;
  const ms = (value) => `${value.toFixed(0)} ms`;
  const rows = [
    ["snapshot's text", mib(figures.text_bytes)],
    ["load, by a process that has compiled nothing yet", ms(figures.first_load_ms)],
    ["load, warm", ms(figures.load_ms)],
    ["load again, one flag changed", ms(figures.reload_ms)],
    ["wasm memory after both", mib(figures.memory_bytes)],
    ["single evaluation among 10,000 flags", `${single.of_10000_us.toFixed(2)} us`],
    ["single evaluation among 100 flags", `${single.of_100_us.toFixed(2)} us`],
    ...figures.many.flatMap((row) => [
      [`${row.environments} environments of ${row.flags_each} flags: held`, `${row.held}, ${row.oldest_went_first ? "the newest" : "NOT THE NEWEST"}`],
      ["wasm memory", mib(row.memory_bytes)],
    ]),
  ];
  const title = `${FLAGS} flags, ${SEGMENTS} segments, ${SEGMENTS * UNITS_EACH} listed units`;
  report(options.json, figures, table([title, "CPU or size"], rows));
}

await main();
process.exit();
