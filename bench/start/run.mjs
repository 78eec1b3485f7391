// Cold start: from the start of the process to the first complete answer of 100 flags, ours and
// the floor in turn; and the size of the wasm.
//   node bench/start/run.mjs [--rounds N] [--json]
import "../../scripts/lib/node.mjs";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { inRoot, WASM } from "../../scripts/lib/paths.mjs";
import { measure } from "../../scripts/size.mjs";
import { median, report, table } from "../lib/figures.mjs";
import { once, request, whenListening } from "../lib/load.mjs";
import { mint } from "../lib/token.mjs";
import { launch, pinSelf, prepare, workerModules } from "../lib/workerd.mjs";
import * as workload from "../lib/workload.mjs";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "10" }, json: { type: "boolean", default: false } },
});
const rounds = Number(options.rounds);

const headers = {
  authorization: `Bearer ${mint("client", workload.ENVIRONMENT)}`,
  "content-type": "application/json",
  origin: workload.ORIGIN,
};
const message = request("POST", workload.BULK, headers, workload.BODY);

/** Milliseconds from start to answer, as the clock and as the CPU has them. */
async function start(prepared) {
  const began = performance.now();
  const server = launch(prepared);
  try {
    await whenListening(server.port);
    const answer = await once(server.port, message);
    const wall = performance.now() - began;
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    return { wall, cpu: server.cpu() / 1_000, answer };
  } finally {
    await server.stop();
  }
}

async function main() {
  const texts = { "pointer.txt": workload.pointer(), "snapshot.txt": workload.snapshot() };
  const ours = await prepare(await workerModules("bench/http/ours.mjs", texts));
  const { status, headers: head, body } = (await start(ours)).answer;
  const { "content-length": length, ...own } = head;
  const constant = { status, headers: own, body };
  const answers = JSON.stringify({ bulk: constant, single: constant, notModified: constant });
  const floor = await prepare(await workerModules("bench/http/floor.mjs", { "answers.txt": answers }));

  pinSelf();
  const rows = { floor: [], ours: [] };
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? [["floor", floor], ["ours", ours]] : [["ours", ours], ["floor", floor]];
    for (const [name, prepared] of order) rows[name].push(await start(prepared));
  }
  for (const prepared of [ours, floor]) prepared.remove();

  const pick = (name, what) => rows[name].map((row) => row[what]);
  const above = (what) => median(pick("ours", what).map((value, at) => value - rows.floor[at][what]));
  const figures = { wasm: measure(readFileSync(inRoot(WASM))), above_floor_ms: { wall: above("wall"), cpu: above("cpu") } };
  for (const name of ["floor", "ours"]) figures[name] = { wall_ms: median(pick(name, "wall")), cpu_ms: median(pick(name, "cpu")) };
  const ms = (value) => value.toFixed(1);
  const lines = ["floor", "ours"].map((name) => [name, ms(figures[name].wall_ms), ms(figures[name].cpu_ms)]);
  const text = table(["start to first answer", "ms", "CPU ms"], [...lines, ["above the floor", ms(above("wall")), ms(above("cpu"))]]);
  report(options.json, figures, `${text}\nmedians of ${rounds} starts each\n${WASM}: ${figures.wasm.text}`);
}

await main();
process.exit();
