// The evaluator beside two published ones, and the compiler on a large environment: runs the
// criterion benches and prints one table, figures against targets.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = new URL("./", import.meta.url);
const ENGINES = ["headgate", "unleash-yggdrasil", "eppo_core"];
const TARGETS = new Map([
  ["one boolean for 25 %", 50],
  ["three rules and a weighted choice", 100],
  ["100 flags and their JSON", 2_500],
  ["request to answer", undefined],
]);
const LARGE = "10,000 flags, 500 segments, 50,000 units";

const { status } = spawnSync("cargo", ["bench", "--quiet", ...process.argv.slice(2)], {
  cwd: here,
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);

/** The fastest sample in nanoseconds: what else runs on the machine only ever adds to a sample. */
function fastest(group, name) {
  const file = join(fileURLToPath(here), "../../target/criterion", group, name, "new/sample.json");
  const { iters, times } = JSON.parse(readFileSync(file, "utf8"));
  return Math.min(...times.map((time, at) => time / iters[at]));
}

const show = (nanos) =>
  nanos < 1e3 ? `${nanos.toFixed(1)} ns` : nanos < 1e6 ? `${(nanos / 1e3).toFixed(2)} us` : `${(nanos / 1e6).toFixed(1)} ms`;
const row = (cells) => console.log(cells.map((cell, at) => (at ? cell.padStart(18) : cell.padEnd(36))).join(""));

row(["fastest sample", ...ENGINES, "target"]);
for (const [group, target] of TARGETS) {
  const found = ENGINES.map((engine) => fastest(group, engine));
  row([group, ...found.map(show), target ? `${found[0] <= target ? "met" : "MISSED"}, ${show(target)}` : ""]);
}
row([`\n${LARGE}`]);
for (const name of ["compile", "compile after one change", "evaluate one"]) row([name, show(fastest(LARGE, name))]);
