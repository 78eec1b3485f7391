// The Worker as Miniflare takes it: bindings from wrangler.toml, which is their only
// source, and modules as they lie on disk.
import { existsSync, readFileSync } from "node:fs";
import { dirname, extname, relative, resolve } from "node:path";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { inRoot, ROOT, WASM } from "./paths.mjs";

const IMPORT = /^\s*(?:import|export)\s(?:[^"'`;]*?\sfrom\s)?\s*["'](\.{1,2}\/[^"']+)["']/gm;
const TYPES = { ".mjs": "ESModule", ".js": "ESModule", ".wasm": "CompiledWasm", ".html": "Text", ".txt": "Text", ".json": "Text" };

export class BuildMissing extends Error {
  constructor(path) {
    super(`${path} is missing: run \`make ${path === WASM ? "build" : "faults"}\``);
  }
}

const missing = (path) => (path.endsWith(".wasm") ? new BuildMissing(path) : new Error(`${path} is missing`));

/**
 * The module at `entry` and all that it imports by relative path, entry first.
 * `replace` maps a path to the path whose bytes stand in for it.
 */
export function modules(entry, replace = {}) {
  const found = new Map();
  const visit = (path) => {
    if (found.has(path)) return;
    const name = relative(ROOT, path);
    const source = replace[name] === undefined ? path : inRoot(replace[name]);
    if (!existsSync(source)) throw missing(relative(ROOT, source));
    const type = TYPES[extname(path)];
    const contents = readFileSync(source, type === "ESModule" || type === "Text" ? "utf8" : null);
    found.set(path, { type, path, contents });
    if (type !== "ESModule") return;
    for (const [, specifier] of contents.matchAll(IMPORT)) visit(resolve(dirname(path), specifier));
  };
  visit(inRoot(entry));
  return [...found.values()];
}

/** Miniflare's options for the Worker in one of wrangler.toml's environments. */
export function workerOptions({ environment = "development", entry = "entry.mjs", replace, bindings = {} } = {}) {
  const { workerOptions: options } = unstable_getMiniflareWorkerOptions(inRoot("wrangler.toml"), environment);
  delete options.modulesRules;
  return {
    ...options,
    modules: modules(entry, replace),
    modulesRoot: ROOT,
    bindings: { ...options.bindings, ...bindings },
  };
}
