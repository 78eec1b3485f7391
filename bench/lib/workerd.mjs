// Workers on plain `workerd serve`, the stack with the least in front of a Worker: each a process
// of its own on one core, with its CPU time read from /proc.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { basename, extname, join } from "node:path";
import { inRoot, ROOT } from "../../scripts/lib/paths.mjs";

const require = createRequire(import.meta.url);
// The very workerd and esbuild that the project's own tools run.
const workerd = createRequire(require.resolve("miniflare"))("workerd").default;
export const esbuild = createRequire(require.resolve("wrangler"))("esbuild");

export const COMPATIBILITY_DATE = "2026-07-30";

/** Whether processes can be put on a core of their own: the server on 0, the load on 1. */
export const pinned = availableParallelism() > 1 && hasTaskset();

function hasTaskset() {
  try {
    execFileSync("taskset", ["-p", String(process.pid)], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Puts this process, which makes the load, on the core that no server is on. */
export function pinSelf() {
  if (pinned) execFileSync("taskset", ["-a", "-p", "-c", "1", String(process.pid)], { stdio: "ignore" });
}

const KINDS = { ".wasm": "wasm", ".html": "text", ".json": "text" };

/** wasm modules and texts stay modules of their own, at the root, as they do in a deployment; `found` gets those on disk. */
const apart = (found) => ({
  name: "apart",
  setup: (build) => {
    build.onResolve({ filter: /\.(wasm|txt|html|json)$/ }, ({ path, resolveDir }) => {
      const [name, kind] = [basename(path), KINDS[extname(path)]];
      if (kind !== undefined) found.set(name, { name, kind, contents: readFileSync(join(resolveDir, path)) });
      return { path: `./${name}`, external: true };
    });
    build.onResolve({ filter: /^cloudflare:/ }, ({ path }) => ({ path, external: true }));
  },
});

/**
 * The modules of a Worker, bundled as for a deployment: `{ name, kind, contents }`, entry first.
 * `texts` are those it imports as `./name.txt`.
 */
export async function workerModules(entry, texts = {}) {
  const found = new Map();
  const { outputFiles } = await esbuild.build({
    entryPoints: [inRoot(entry)],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    conditions: ["workerd", "worker", "browser", "module", "import"],
    mainFields: ["browser", "module", "main"],
    plugins: [apart(found)],
    logLevel: "error",
  });
  return [
    { name: "worker.mjs", kind: "esModule", contents: outputFiles[0].text },
    ...found.values(),
    ...Object.entries(texts).map(([name, contents]) => ({ name, kind: "text", contents })),
  ];
}

function configuration(list, port) {
  const lines = list.map(({ name, kind }, at) => `    (name = ${JSON.stringify(name)}, ${kind} = embed "m${at}"),`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")] );
const main :Workerd.Worker = (
  modules = [
${lines.join("\n")}
  ],
  compatibilityDate = "${COMPATIBILITY_DATE}" );
`;
}

async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** A Worker laid out on disk, to be started as often as wanted. */
export async function prepare(list) {
  mkdirSync(inRoot(".tools"), { recursive: true });
  const folder = mkdtempSync(join(inRoot(".tools"), "bench-"));
  const port = await freePort();
  list.forEach(({ contents }, at) => writeFileSync(join(folder, `m${at}`), contents));
  writeFileSync(join(folder, "config.capnp"), configuration(list, port));
  return { folder, port, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

/** Starts a prepared Worker; does not wait until it answers. It ends with this process at the latest. */
export function launch({ folder, port }) {
  const command = [workerd, "serve", join(folder, "config.capnp")];
  const [program, ...args] = pinned ? ["taskset", "-c", "0", ...command] : command;
  // taskset becomes workerd: the process id stays.
  const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  running.add(child);
  const exited = new Promise((resolve) => child.on("exit", resolve)).then(() => running.delete(child));
  const stop = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  return { port, pid: child.pid, stop, cpu: () => cpu(child.pid) };
}

/** CPU time of a process so far, microseconds: of all its threads, to the nanosecond where the kernel says so. */
export function cpu(pid) {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const nanos = tasks.map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]));
    return nanos.reduce((sum, each) => sum + each, 0) / 1_000;
  } catch {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
    const tick = 10_000; // 100 a second on every Linux
    return (Number(fields[11]) + Number(fields[12])) * tick;
  }
}
