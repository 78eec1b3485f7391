// One harness for all end-to-end tests: the built Worker on workerd, in the bindings of
// wrangler.toml, with what a test has to drive: restart, eviction, cron, queue, several
// isolates, faults. It builds nothing: `make build faults` does.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Log, LogLevel, Miniflare } from "miniflare";
import { FAULTS_WASM, inRoot, ROOT, WASM } from "../../scripts/lib/paths.mjs";
import { workerOptions } from "../../scripts/lib/worker.mjs";

export const OWNER_TOKEN = "hg_owner_for-tests-only";
const MAIN = "headgate";

/** Waits until `check` gives something true, and gives that; the last error or answer is in the failure. */
export async function until(check, ms = 5_000, every = 20) {
  const deadline = Date.now() + ms;
  let last;
  for (;;) {
    try {
      last = await check();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not so within ${ms} ms; last: ${last?.stack ?? JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** A folder that is removed at the end of the test `t`. */
export function temporaryFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), "headgate-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An HTTP answer: its text is read, and is JSON where it can be. */
async function answer(response) {
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = text;
  }
  return { status: response.status, headers: response.headers, etag: response.headers.get("etag"), text, body };
}

/**
 * A POST as `fetch` does not send it: with a `content-length` whose body never comes, or else in
 * chunks. Gives the answer as soon as it is there.
 */
export async function upload(url, headers, chunks = []) {
  const sent = request(url, { method: "POST", headers, agent: false });
  const answered = once(sent, "response");
  for (const chunk of chunks) sent.write(chunk);
  if (headers["content-length"] === undefined) sent.end();
  else sent.flushHeaders();
  const [response] = await answered;
  response.setEncoding("utf8");
  const text = (await response.toArray()).join("");
  sent.on("error", () => {}).destroy();
  return { status: response.statusCode, headers: new Headers(response.headers), text, body: JSON.parse(text) };
}

/** A caller of the HTTP API at `send(path, init)`: JSON in, JSON out, the owner unless told otherwise. */
function apiClient(send, token) {
  return async (method, path, body, headers = {}) =>
    answer(
      await send(path, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
      }),
    );
}

function isolateName(index) {
  return index === 0 ? MAIN : `${MAIN}-${index + 1}`;
}

/** The Worker in a further isolate: the same KV, queue and cache, and the first one's Durable Objects. */
function furtherIsolate(options, index) {
  const durableObjects = Object.fromEntries(
    Object.entries(options.durableObjects).map(([binding, object]) => [binding, { ...object, scriptName: MAIN }]),
  );
  return { ...options, name: isolateName(index), durableObjects, queueConsumers: undefined };
}

function queueConsumers(options, { batchSize, batchTimeout = 0.05, retryDelay = 0 } = {}) {
  return Object.fromEntries(
    Object.entries(options.queueConsumers).map(([queue, consumer]) => [
      queue,
      { ...consumer, maxBatchSize: batchSize ?? consumer.maxBatchSize, maxBatchTimeout: batchTimeout, retryDelay },
    ]),
  );
}

function rateLimits(options, rates = {}) {
  return Object.fromEntries(
    Object.entries(options.ratelimits).map(([binding, limit]) => [
      binding,
      { ...limit, simple: { ...limit.simple, limit: rates[binding] ?? limit.simple.limit } },
    ]),
  );
}

/** A Worker that keeps what the queue gave up, in KV, where a test can look. */
function deadLetterOffice({ kvNamespaces }) {
  return {
    name: "dead-letters",
    modules: true,
    script: `export default {
      async queue(batch, env) {
        for (const message of batch.messages) await env.SNAPSHOTS.put("dead/" + message.id, String(message.body));
      },
    }`,
    kvNamespaces,
    queueConsumers: { "headgate-events-dead": { maxBatchTimeout: 0.05 } },
  };
}

function miniflareOptions({ persist, vars, isolates, faults, deliberateFaults, cache, rates, queue, port }, logs) {
  const options = workerOptions({
    entry: faults ? "tests/e2e/faulty_entry.mjs" : "entry.mjs",
    replace: deliberateFaults ? { [WASM]: FAULTS_WASM } : {},
    bindings: { OWNER_TOKEN, ...vars },
  });
  // Else each isolate would be a deployment of its own, made when it was started.
  if (vars?.VERSION) delete options.versionMetadata;
  const first = {
    ...options,
    name: MAIN,
    cache,
    ratelimits: rateLimits(options, rates),
    queueConsumers: queueConsumers(options, queue),
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
  const further = Array.from({ length: isolates - 1 }, (_, index) => furtherIsolate(first, index + 1));
  return {
    host: "127.0.0.1",
    port,
    cf: false,
    log: new Log(LogLevel.NONE),
    logRequests: false,
    unsafeInspectDurableObjects: true,
    handleStructuredLogs: (entry) => {
      logs.push(entry);
    },
    ...(persist === undefined ? {} : { defaultPersistRoot: persist }),
    workers: [first, ...further, deadLetterOffice(first)],
  };
}

class Gateway {
  #options;

  constructor(options) {
    this.#options = options;
    /** What the Worker logged: `{ timestamp, level, message }`. */
    this.logs = [];
    this.api = apiClient((path, init) => this.fetch(path, init), options.vars?.OWNER_TOKEN ?? OWNER_TOKEN);
  }

  async open() {
    this.miniflare = new Miniflare(miniflareOptions(this.#options, this.logs));
    await this.miniflare.ready;
    const urls = Array.from({ length: this.#options.isolates }, (_, index) =>
      this.miniflare.unsafeGetDirectURL(isolateName(index)),
    );
    /** The base URL of each isolate; `url` is the first one's. */
    this.urls = (await Promise.all(urls)).map((url) => url.origin);
    this.url = this.urls[0];
    if (this.#faults !== undefined) await this.fault(this.#faults);
    return this;
  }

  #faults;

  /** A request over a socket of its own to an isolate, as any client would send it. */
  fetch(path, init, isolate = 0) {
    return fetch(this.urls[isolate] + path, { redirect: "manual", ...init });
  }

  /** A request whose `request.cf` is given: `{ country, region, continent, … }`. */
  fetchFrom(cf, path, init) {
    return this.miniflare.dispatchFetch(this.url + path, { redirect: "manual", ...init, cf });
  }

  /** `fetch`, read: `{ status, headers, etag, text, body }`. */
  async ask(path, init, isolate) {
    return answer(await this.fetch(path, init, isolate));
  }

  /** Evaluates one flag over OFREP; without a key, all of them. */
  evaluate(token, key, context = { targetingKey: "u-1" }, { headers = {}, isolate = 0 } = {}) {
    const path = `/ofrep/v1/evaluate/flags${key === undefined ? "" : `/${encodeURIComponent(key)}`}`;
    const init = {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
      body: JSON.stringify({ context }),
    };
    return this.ask(path, init, isolate);
  }

  /** A caller like `api` with another token, or at another isolate. */
  as(token, isolate = 0) {
    return apiClient((path, init) => this.fetch(path, init, isolate), token);
  }

  /** Imports a project document. */
  async import(document) {
    const { status, text } = await this.api("POST", "/v1/import", document);
    if (status !== 200) throw new Error(`the import was refused: ${status} ${text}`);
  }

  /** Makes a token of an environment and gives its text, when it is published: the edge remembers a bad one. */
  async token(project, environment, kind, role) {
    const path = `/v1/projects/${project}/environments/${environment}/tokens`;
    const { status, text, body } = await this.api("POST", path, { kind, role, name: `test ${kind}` });
    if (status !== 201) throw new Error(`no ${kind} token: ${status} ${text}`);
    const settled = () => this.api("GET", `/v1/projects/${project}/environments/${environment}`);
    await until(async () => (await settled()).body.publication?.settled, 8_000, 200);
    return body.token;
  }

  /** Stops and starts on the same state. Without a `persist` folder nothing is left of it. */
  async restart() {
    await this.stop();
    return this.open();
  }

  /** Ends a Durable Object's life in memory; what it stored stays. It must have been used before. */
  evict(className, name) {
    return this.miniflare.unsafeEvictDurableObject(MAIN, className, { name });
  }

  /** Sends a message to a Durable Object, as the Worker does: `call("METRICS", "metrics", { add: … })`. */
  async call(binding, name, message) {
    const namespace = await this.miniflare.getDurableObjectNamespace(binding, MAIN);
    return namespace.getByName(name).call(JSON.stringify(message));
  }

  /** Rows of a query in a Durable Object's database. */
  async sql(className, name, query, ...parameters) {
    const storage = await this.miniflare.unsafeGetDurableObjectStorage(MAIN, className, { name });
    return storage.exec(query, ...parameters);
  }

  /** Calls the scheduled handler, as at `time`. */
  async cron(time = Date.now()) {
    const worker = await this.miniflare.getWorker(MAIN);
    return worker.scheduled({ cron: "* * * * *", scheduledTime: new Date(time) });
  }

  /** Calls the queue handler with a batch of its own: `{ outcome, ackAll, explicitAcks, retryMessages, … }`. */
  async deliver(bodies, queue = "headgate-events") {
    const worker = await this.miniflare.getWorker(MAIN);
    const messages = bodies.map((body, index) => ({ id: `m${index}`, timestamp: new Date(), attempts: 1, body }));
    return worker.queue(queue, messages);
  }

  /** Puts a message into the queue, past the gateway. */
  async enqueue(body, contentType = "text") {
    const producer = await this.miniflare.getQueueProducer("EVENTS", MAIN);
    return producer.send(body, { contentType });
  }

  /** The messages that the queue gave up. */
  async deadLetters() {
    const kv = await this.kv();
    const { keys } = await kv.list({ prefix: "dead/" });
    return Promise.all(keys.map(({ name }) => kv.get(name)));
  }

  /** The KV namespace. */
  kv() {
    return this.miniflare.getKVNamespace("SNAPSHOTS", MAIN);
  }

  /** Sets the faults of `faulty_entry.mjs`, in one isolate or in all; `{}` ends them. They outlive a restart. */
  async fault(settings, isolate) {
    if (isolate === undefined) this.#faults = settings;
    const meant = isolate === undefined ? this.urls.keys() : [isolate];
    for (const index of meant) {
      const { status } = await this.ask("/__faults", { method: "POST", body: JSON.stringify(settings) }, index);
      if (status !== 204) throw new Error("start with `faults: true` to set faults");
    }
  }

  /** How often an isolate called each binding since its faults were set: `{ POINTER, SNAPSHOTS, … }`. */
  async calls(isolate = 0) {
    return (await this.ask("/__faults", {}, isolate)).body;
  }

  stop() {
    return this.miniflare.dispose();
  }
}

/**
 * Starts the built Worker:
 *   persist           a folder for its state; else it lives in memory
 *   vars              further bindings (`OWNER_TOKEN` is set); `VERSION: { id, timestamp }` names the deployment
 *   isolates          how many isolates of the Worker share one KV, queue, cache and set of objects
 *   faults            puts storage behind `fault()`
 *   deliberateFaults  takes the wasm that has entry points which panic, overflow and exhaust
 *   cache             false: the location has no cache
 *   rates             limits in place of wrangler.toml's: `{ RATE_CLIENT: 5 }`
 *   queue             `{ batchSize, batchTimeout, retryDelay }` (seconds); fast unless told otherwise
 *   port              0 takes a free one
 * Call `stop()` at the end, or give the test as `t`.
 */
export async function start({ t, isolates = 1, cache = true, port = 0, ...options } = {}) {
  const gateway = await new Gateway({ isolates, cache, port, ...options }).open();
  t?.after(() => gateway.stop());
  return gateway;
}

/**
 * Starts `scripts/serve.mjs` as a process of its own, which `kill()` ends with all that
 * belongs to it, as a power cut would, and `crash()` alone; `stop()` asks it to end and gives its exit code.
 */
export async function startProcess({ t, state, documents = [], port = 0, ownerToken = OWNER_TOKEN, args = [] }) {
  const imports = documents.flatMap((path) => ["--import", path]);
  const child = spawn(
    process.execPath,
    ["scripts/serve.mjs", "--port", String(port), "--state", state, "--owner-token", ownerToken, ...imports, ...args],
    { cwd: ROOT, detached: true, stdio: ["ignore", "pipe", "pipe"] },
  );
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"]) child[stream].on("data", (data) => (output[stream] += data));
  const exited = new Promise((resolve) => child.on("close", (code, signal) => resolve(code ?? signal)));
  const running = () => child.exitCode === null && child.signalCode === null;
  const kill = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // All of the group has ended.
    }
    return exited;
  };
  /** Ends the process alone, as a crash would: what it started lives on. */
  const crash = async () => {
    process.kill(child.pid, "SIGKILL");
    await until(() => !running());
  };
  t?.after(kill);

  await until(() => output.stdout.includes("\n") || !running(), 30_000);
  if (!running()) throw new Error(`the server ended with ${await exited}: ${output.stderr}`);
  const ready = JSON.parse(output.stdout);
  const send = (path, init) => fetch(ready.url + path, { redirect: "manual", ...init });
  return {
    ready,
    url: ready.url,
    pid: child.pid,
    output,
    exited,
    kill,
    crash,
    stop: () => {
      child.kill("SIGTERM");
      return exited;
    },
    fetch: send,
    ask: async (path, init) => answer(await send(path, init)),
    api: apiClient(send, ownerToken),
  };
}

/** The path of an example product's project document. */
export const example = (name) => inRoot(`examples/${name}/project.json`);
