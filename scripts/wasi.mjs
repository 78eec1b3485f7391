// Runs a wasm32-wasip1 program (a test binary, say) with its arguments: cargo's
// runner for that target. The package folder is the program's root folder.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [program, ...args] = process.argv.slice(2);
const wasi = new WASI({
  version: "preview1",
  args: [program, ...args],
  env: process.env,
  preopens: { "/": process.cwd(), ".": process.cwd() },
});
const { instance } = await WebAssembly.instantiate(await readFile(program), wasi.getImportObject());
process.exitCode = wasi.start(instance);
