// Damaged flags, segments and contexts through reader, compiler and evaluator, and hostile requests
// through routes:
// `node bench/fuzz/run.mjs [inputs]`, ten million when not told.
import { spawnSync } from "node:child_process";

const inputs = process.argv[2] ?? "10000000";
const { status } = spawnSync(
  "cargo",
  ["test", "--locked", "--quiet", "--profile", "fuzz", "--test", "fuzz_smoke", "--", "--nocapture"],
  { cwd: new URL("../..", import.meta.url), env: { ...process.env, FUZZ_INPUTS: inputs }, stdio: "inherit" },
);
process.exitCode = status ?? 1;
