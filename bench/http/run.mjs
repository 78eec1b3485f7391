// CPU time per request of the whole Worker in workerd, beside the floor and beside peers.
//   node bench/http/run.mjs [--rounds N] [--requests N] [--peers flagd,growthbook] [--json]
// Every round measures every server in turn; ratios are taken within a round.
import "../../scripts/lib/node.mjs";
import { parseArgs } from "node:util";
import { median, report, table } from "../lib/figures.mjs";
import { Load, once, request, whenListening } from "../lib/load.mjs";
import { mint } from "../lib/token.mjs";
import { launch, pinned, pinSelf, prepare, workerModules } from "../lib/workerd.mjs";
import * as workload from "../lib/workload.mjs";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    requests: { type: "string", default: "2000" },
    peers: { type: "string", default: "flagd,growthbook" },
    json: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds);
const requests = Number(options.requests);
const peers = options.peers.split(",").filter(Boolean);

const HEADERS = {
  authorization: `Bearer ${mint("client", workload.ENVIRONMENT)}`,
  "content-type": "application/json",
  accept: "application/json",
  origin: workload.ORIGIN,
  "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
};

const servers = [];
async function serve(entry, texts) {
  const prepared = await prepare(await workerModules(entry, texts));
  const server = launch(prepared);
  servers.push({ stop: server.stop, remove: prepared.remove });
  await whenListening(server.port);
  return server;
}

const ask = (path, headers = {}) => request("POST", path, { ...HEADERS, ...headers }, workload.BODY);

/** What our answer is, for the floor to repeat: workerd itself adds the length. */
async function sample(port, message) {
  const { status, headers, body } = await once(port, message);
  const { "content-length": length, ...own } = headers;
  return { status, headers: own, body: body === "" ? null : body };
}

function summary(cases, measured) {
  return Object.fromEntries(
    Object.entries(cases).map(([name]) => {
      const floor = measured.get(`${name} floor`);
      const row = (of) => {
        const list = measured.get(`${name} ${of}`);
        return list && { cpu_us: median(list), ratio: median(list.map((value, at) => value / floor[at])) };
      };
      return [name, Object.fromEntries(["floor", "ours", ...peers].map((of) => [of, row(of)]).filter(([, found]) => found))];
    }),
  );
}

function asText(figures) {
  const rows = Object.entries(figures).flatMap(([name, row]) =>
    Object.entries(row).map(([of, { cpu_us, ratio }]) => [`${name}, ${of}`, cpu_us.toFixed(1), `${ratio.toFixed(2)}x`]),
  );
  return table(["case", "CPU us/request", "of the floor"], rows);
}

async function main() {
  const ours = await serve("bench/http/ours.mjs", { "pointer.txt": workload.pointer(), "snapshot.txt": workload.snapshot() });
  const bulk = await sample(ours.port, ask(workload.BULK));
  const known = ask(workload.BULK, { "if-none-match": bulk.headers.etag });
  const cases = {
    "100 flags": { message: ask(workload.BULK), status: 200 },
    "100 flags, not modified": { message: known, status: 304, of: ["floor", "ours"] },
    "one flag": { message: ask(workload.SINGLE), status: 200 },
  };
  const answers = { bulk, single: await sample(ours.port, ask(workload.SINGLE)), notModified: await sample(ours.port, known) };
  if (bulk.status !== 200 || answers.notModified.status !== 304) throw new Error(JSON.stringify(answers));

  const answersText = JSON.stringify(answers);
  const all = { floor: await serve("bench/http/floor.mjs", { "answers.txt": answersText }), ours };
  const data = { flagd: JSON.stringify(workload.flagdConfiguration()), growthbook: JSON.stringify(workload.growthbookPayload()) };
  for (const peer of peers) {
    all[peer] = await serve(`bench/http/${peer}.mjs`, { [`${peer}.txt`]: data[peer], "answers.txt": answersText });
  }

  pinSelf();
  const loads = {};
  for (const [name, { port }] of Object.entries(all)) loads[name] = await Load.open(port);
  const measured = new Map();
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, { message, status, of = Object.keys(all) }] of Object.entries(cases)) {
      for (const each of round % 2 === 0 ? of : [...of].reverse()) {
        const before = all[each].cpu();
        await loads[each].run(message, requests, status);
        // The round before the first warms up.
        const figure = (all[each].cpu() - before) / requests;
        if (round >= 0) measured.set(`${name} ${each}`, [...(measured.get(`${name} ${each}`) ?? []), figure]);
      }
    }
  }
  const figures = summary(cases, measured);
  const sizes = { bulk: Buffer.byteLength(bulk.body), single: Buffer.byteLength(answers.single.body) };
  const note = `${rounds} rounds of ${requests} requests; answers of ${sizes.bulk} and ${sizes.single} bytes; ${pinned ? "server on one core, load on another" : "not pinned"}`;
  report(options.json, { rounds, requests, pinned, sizes, figures }, `${asText(figures)}\n${note}`);
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
