// The size of the Worker's wasm, and its budget.
//   node scripts/size.mjs [--budget BYTES]     fails when the gzipped size is above it
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { inRoot, WASM } from "./lib/paths.mjs";

const thousands = (n) => n.toLocaleString("en-US");

/** `{ raw, gzipped, text }` of a file's bytes. */
export function measure(bytes) {
  const gzipped = gzipSync(bytes, { level: 9 }).length;
  return { raw: bytes.length, gzipped, text: `${thousands(bytes.length)} bytes, ${thousands(gzipped)} gzipped` };
}

function main() {
  const { values } = parseArgs({ options: { budget: { type: "string" } } });
  const { gzipped, text } = measure(readFileSync(inRoot(WASM)));
  console.log(`${WASM}: ${text}`);
  const budget = values.budget === undefined ? Infinity : Number(values.budget);
  if (!(gzipped <= budget)) {
    console.error(`${WASM} is above its budget of ${thousands(budget)} bytes gzipped`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main();
