// The data plane as an isolate holds it, in this process: the shell's own boundary to the wasm,
// with nothing of the platform around it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inRoot, WASM } from "../../scripts/lib/paths.mjs";
import { esbuild } from "./workerd.mjs";

const instances = [];
globalThis.benchWasm = new WebAssembly.Module(readFileSync(inRoot(WASM)));
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(...args) {
    super(...args);
    instances.push(this);
  }
};

const compiled = {
  name: "compiled",
  setup: (build) => {
    build.onResolve({ filter: /\.wasm$/ }, ({ path }) => ({ path, namespace: "compiled" }));
    build.onLoad({ filter: /./, namespace: "compiled" }, () => ({ contents: "export default globalThis.benchWasm;" }));
  },
};

/** The text of `shell/wasm.mjs` that this process can import, as often as it wants isolates. */
async function boundary() {
  const built = await esbuild.build({
    entryPoints: [inRoot("shell/wasm.mjs")], bundle: true, write: false, format: "esm", plugins: [compiled], logLevel: "error",
  });
  return built.outputFiles[0].text;
}

/** A function that makes isolates. */
export async function isolates() {
  mkdirSync(inRoot(".tools"), { recursive: true });
  const folder = mkdtempSync(join(inRoot(".tools"), "bench-"));
  const file = join(folder, "wasm.mjs");
  writeFileSync(file, await boundary());
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  let made = 0;
  return async () => new Isolate(await import(`${pathToFileURL(file)}?${(made += 1)}`));
}

class Isolate {
  #shell;
  #instance;

  constructor(shell) {
    this.#shell = shell;
    // The deployment's own name: no other is asked for here.
    shell.call(shell.OPERATION.meetHost, "localhost\n");
    this.#instance = instances.at(-1);
  }

  /** Bytes of the wasm's memory, which never shrinks. */
  get bytes() {
    return this.#instance.exports.memory.buffer.byteLength;
  }

  /** Takes a pointer and a snapshot; what is declined throws. */
  load(environment, pointer, snapshot, now) {
    const { call, OPERATION } = this.#shell;
    const declined =
      call(OPERATION.acceptPointer, `${environment}\n${now}\n${pointer}`) || call(OPERATION.acceptSnapshot, `${environment}\n${snapshot}`);
    if (declined) throw new Error(declined);
  }

  /** Answers a request; gives the frame. */
  ask({ target, token, body }, now) {
    const input = `POST\n${target}\nlocalhost\nBearer ${token}\n\n\n\n${body}`;
    return this.#shell.ask(input, { now, waited: 0, size: body.length, rate: 0 }, {});
  }

  /** Whether the frame is an answer, and not something to be read first. */
  isReply(frame) {
    return frame.kind === this.#shell.KIND.reply;
  }
}
