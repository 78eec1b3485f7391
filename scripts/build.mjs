// Builds the Worker's wasm: cargo, then wasm-opt.
//   node scripts/build.mjs             -> build/headgate.wasm
//   node scripts/build.mjs --faults    -> build/faults/headgate.wasm, with feature `faults`:
//                                         entry points that panic, overflow and exhaust on purpose
// cargo knows what changed; wasm-opt runs only when its input, flags or version did.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { FAULTS_WASM, inRoot, ROOT, WASM } from "./lib/paths.mjs";
import { measure } from "./size.mjs";

const TRIPLE = "wasm32-unknown-unknown";
const OPT_FLAGS = [
  "-O3",
  // Inlining functions into their one caller makes V8 compile the admin side for the first evaluation,
  // and the whole compresses worse: 23 KB gzipped more, and no evaluation is quicker.
  "--one-caller-inline-max-function-size=0",
  // What rustc's default wasm32 target emits; workerd has all of it.
  "--enable-bulk-memory",
  "--enable-bulk-memory-opt",
  "--enable-call-indirect-overlong",
  "--enable-multivalue",
  "--enable-mutable-globals",
  "--enable-nontrapping-float-to-int",
  "--enable-reference-types",
  "--enable-sign-ext",
  "--strip-debug",
  "--strip-producers",
  "--strip-target-features",
];

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit" });
  if (error?.code === "ENOENT") {
    console.error(`${command} is missing`);
    process.exit(1);
  }
  if (status !== 0) process.exit(status ?? 1);
}

function rustc(...args) {
  return spawnSync("rustc", args, { cwd: ROOT, encoding: "utf8" }).stdout ?? "";
}

/** Flags that keep this machine's folders out of the bytes, so that all machines build the same. */
function remappedPaths() {
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
  const commit = /^commit-hash: (.*)$/m.exec(rustc("-vV"))?.[1];
  const library = join(rustc("--print", "sysroot").trim(), "lib/rustlib/src/rust");
  return [`--remap-path-prefix=${cargoHome}=/cargo`, `--remap-path-prefix=${library}=/rustc/${commit}`];
}

function compile(faults) {
  const targetDir = faults ? "target/faults" : "target";
  const args = ["build", "--release", "--locked", "--lib", "--target", TRIPLE, "--target-dir", targetDir];
  args.push("--config", `target.${TRIPLE}.rustflags=${JSON.stringify(remappedPaths())}`);
  if (faults) args.push("--features", "faults");
  run("cargo", args);
  return inRoot(`${targetDir}/${TRIPLE}/release/headgate.wasm`);
}

/** Optimises `input` into `output`, unless `output` was made of the same. */
function optimise(input, output) {
  const optimiser = inRoot("node_modules/binaryen/bin/wasm-opt");
  if (!existsSync(optimiser)) {
    console.error("wasm-opt is missing: run `npm ci`");
    process.exit(1);
  }
  const { version } = JSON.parse(readFileSync(inRoot("node_modules/binaryen/package.json"), "utf8"));
  const made = createHash("sha256")
    .update(readFileSync(input))
    .update(JSON.stringify([version, OPT_FLAGS]))
    .digest("hex");
  const stamp = `${output}.sha256`;
  if (existsSync(output) && existsSync(stamp) && readFileSync(stamp, "utf8") === made) return false;

  mkdirSync(dirname(output), { recursive: true });
  const unfinished = `${output}.${process.pid}.tmp`;
  run(process.execPath, [optimiser, ...OPT_FLAGS, input, "-o", unfinished]);
  renameSync(unfinished, output);
  writeFileSync(stamp, made);
  return true;
}

const { values } = parseArgs({ options: { faults: { type: "boolean", default: false } } });
const output = values.faults ? FAULTS_WASM : WASM;
const changed = optimise(compile(values.faults), inRoot(output));
console.log(`${output}: ${measure(readFileSync(inRoot(output))).text}${changed ? "" : ", unchanged"}`);
