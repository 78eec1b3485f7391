// CPU time per request of the whole Worker in workerd, beside the floor and beside peers.
//   node bench/http/run.mjs [--rounds N] [--requests N] [--peers flagd,growthbook] [--json]
// Every round measures every server in turn, for so short a while that whatever else the machine
// does meets all of them alike; ratios are taken within a round.
import "../../scripts/lib/node.mjs";
import { parseArgs } from "node:util";
import { median, report, table } from "../lib/figures.mjs";
import { Load, once, request, whenListening } from "../lib/load.mjs";
import { mint } from "../lib/token.mjs";
import { launch, pinned, pinSelf, prepare, workerModules } from "../lib/workerd.mjs";
import * as workload from "../lib/workload.mjs";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "80" },
    requests: { type: "string", default: "150" },
    warmup: { type: "string", default: "5000" },
    peers: { type: "string", default: "flagd,growthbook" },
    json: { type: "boolean", default: false },
  },
});
const [rounds, requests, warmup] = [options.rounds, options.requests, options.warmup].map(Number);
const peers = options.peers.split(",").filter(Boolean);

const HEADERS = {
  authorization: `Bearer ${mint("client", workload.ENVIRONMENT)}`,
  "content-type": "application/json",
  accept: "application/json",
  origin: workload.ORIGIN,
  "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
};

const ask = (path, { headers, visitors } = {}) => request("POST", path, { ...HEADERS, ...headers }, workload.BODY, visitors);

const servers = [];
async function serve(entry, texts) {
  const prepared = await prepare(await workerModules(entry, texts));
  const server = launch(prepared);
  servers.push({ stop: server.stop, remove: prepared.remove });
  await whenListening(server.port);
  return server;
}

/** What our answer is, for the floor to repeat: workerd itself adds the length. */
async function sample(port, message, expected) {
  const { status, headers, body } = await once(port, message);
  if (status !== expected) throw new Error(`status ${status}: ${body}`);
  const { "content-length": length, ...own } = headers;
  return { status, headers: own, body: body === "" ? null : body };
}

async function check(name, port) {
  const { flags } = JSON.parse((await once(port, ask(workload.BULK))).body);
  const wrong = flags.find(({ value, errorCode }) => value === undefined || errorCode !== undefined);
  if (flags.length !== 100 || wrong) throw new Error(`${name} does not answer 100 flags: ${JSON.stringify(wrong)}`);
}

async function serveAll() {
  const ours = await serve("bench/http/ours.mjs", { "pointer.txt": workload.pointer(), "snapshot.txt": workload.snapshot() });
  const bulk = await sample(ours.port, ask(workload.BULK), 200);
  const known = { "if-none-match": bulk.headers.etag };
  const answers = {
    bulk,
    single: await sample(ours.port, ask(workload.SINGLE), 200),
    notModified: await sample(ours.port, ask(workload.BULK, { headers: known }), 304),
  };
  const answersText = JSON.stringify(answers);
  const all = { floor: await serve("bench/http/floor.mjs", { "answers.txt": answersText }), ours };
  const data = { flagd: workload.flagdConfiguration(), growthbook: workload.growthbookPayload() };
  for (const peer of peers) {
    all[peer] = await serve(`bench/http/${peer}.mjs`, { [`${peer}.txt`]: JSON.stringify(data[peer]), "answers.txt": answersText });
  }
  for (const [name, { port }] of Object.entries(all)) await check(name, port);
  return { all, answers, known };
}

async function measure(all, { message, status, of }) {
  const loads = {};
  for (const name of of) {
    loads[name] = await Load.open(all[name].port);
    await loads[name].run(message, warmup, status);
  }
  const figures = Object.fromEntries(of.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? of : [...of].reverse()) {
      const before = all[name].cpu();
      await loads[name].run(message, requests, status);
      figures[name].push((all[name].cpu() - before) / requests);
    }
  }
  for (const load of Object.values(loads)) load.close();
  return Object.fromEntries(
    of.map((name) => [name, { cpu_us: median(figures[name]), ratio: median(figures[name].map((cpu, at) => cpu / figures.floor[at])) }]),
  );
}

async function main() {
  const { all, answers, known } = await serveAll();
  pinSelf();
  const everybody = Object.keys(all);
  const cases = {
    "100 flags": { message: ask(workload.BULK), status: 200, of: everybody },
    "one flag": { message: ask(workload.SINGLE), status: 200, of: everybody },
    "100 flags, not modified": { message: ask(workload.BULK, { headers: known }), status: 304, of: ["floor", "ours"] },
    "one flag, one busy address": { message: ask(workload.SINGLE, { visitors: 1 }), status: 200, of: ["floor", "ours"] },
  };
  const figures = {};
  for (const [name, each] of Object.entries(cases)) figures[name] = await measure(all, each);

  const rows = Object.entries(figures).flatMap(([name, row]) =>
    Object.entries(row).map(([of, { cpu_us, ratio }]) => [`${name}: ${of}`, cpu_us.toFixed(1), `${ratio.toFixed(2)}x`]),
  );
  const sizes = { bulk: Buffer.byteLength(answers.bulk.body), single: Buffer.byteLength(answers.single.body) };
  const where = pinned ? "server on one core, load on another" : "not pinned";
  const note = `medians of ${rounds} rounds of ${requests} requests; answers of ${sizes.bulk} and ${sizes.single} bytes; ${where}`;
  report(options.json, { rounds, requests, pinned, sizes, figures }, `${table(["", "CPU us a request", "of the floor"], rows)}\n${note}`);
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
for (const { stop, remove } of servers) {
  await stop();
  remove();
}
process.exit();
