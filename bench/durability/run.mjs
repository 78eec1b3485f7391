// Conditional PUTs of many writers, the server killed with SIGKILL at a random moment and started
// again on the same state: every acknowledged PUT must be there once, versions without a gap, the
// audit's chain whole, and readers given what was written last.
//   node bench/durability/run.mjs [--writes N] [--keys N] [--json]
import "../../scripts/lib/node.mjs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { durability } from "../../tests/e2e/durability.mjs";
import { quantile, report, table } from "../lib/figures.mjs";

const { values: options } = parseArgs({
  options: {
    writes: { type: "string", default: "10000" },
    keys: { type: "string", default: "500" },
    json: { type: "boolean", default: false },
  },
});
const writes = Number(options.writes);

async function main() {
  // Anywhere in the middle: neither before there is much to lose nor when all is done.
  const enough = Math.floor(writes * (0.3 + 0.6 * Math.random()));
  const folder = mkdtempSync(join(tmpdir(), "headgate-"));
  try {
    const { latencies, ...found } = await durability({ folder, writes, keys: Number(options.keys), enough });
    const latency = Object.fromEntries([0.5, 0.9, 0.99].map((q) => [`p${q * 100}_ms`, quantile(latencies, q)]));
    const figures = { ...found, requests: latencies.length, ...latency, max_ms: Math.max(...latencies) };
    const row = Object.values(figures).map((value) => value.toFixed(0));
    const head = ["acknowledged", "found", "acknowledged/s", "requests", "p50 ms", "p90 ms", "p99 ms", "max ms"];
    report(options.json, figures, table(head, [row]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
process.exit();
