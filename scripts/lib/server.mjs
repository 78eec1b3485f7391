// A Headgate on this machine: the built Worker on workerd, with KV, queue and
// Durable Objects kept in a state folder. `serve.mjs` and `dev.mjs` are its two faces.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, isIPv6 } from "node:net";
import { Log, LogLevel, Miniflare } from "miniflare";
import { State, StateError } from "./state.mjs";
import { BuildMissing, workerOptions } from "./worker.mjs";

const TOKEN_KINDS = ["client", "server", "admin"];
const READY_WITHIN_MS = 20_000;
const CRON = "* * * * *";
const CRON_EVERY_MS = 60_000;
const STOP_WITHIN_MS = 10_000;

/** What the person who started the server can mend; the message says what it is. */
export class StartError extends Error {}

function toStderr(text) {
  process.stderr.write(`${text}\n`);
}

class StderrLog extends Log {
  log(message) {
    toStderr(message);
  }
}

/** Reads the project documents before anything is started. */
function readDocuments(paths) {
  return paths.map((path) => {
    let bytes;
    try {
      bytes = readFileSync(path);
    } catch (error) {
      throw new StartError(`cannot read ${path}: ${error.code === "ENOENT" ? "no such file" : error.message}`);
    }
    try {
      const document = JSON.parse(bytes);
      return { path, bytes, document, sha256: createHash("sha256").update(bytes).digest("hex") };
    } catch (error) {
      throw new StartError(`${path} is not JSON: ${error.message}`);
    }
  });
}

async function checkPortIsFree(port, host) {
  const probe = createServer();
  try {
    await new Promise((resolve, reject) => probe.once("error", reject).listen(port, host, resolve));
  } catch (error) {
    const why = { EADDRINUSE: "is already taken", EACCES: "needs more rights than this user has" }[error.code];
    throw new StartError(why ? `port ${port} on ${host} ${why}` : `cannot listen on ${host}:${port}: ${error.message}`);
  }
  await new Promise((resolve) => probe.close(resolve));
}

class Client {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  async post(path, body) {
    const response = await fetch(this.url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body,
    });
    const text = await response.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = { title: text.slice(0, 200) };
    }
    return { ok: response.ok, status: response.status, json };
  }
}

/** A problem document as lines: what it is, then each pointer with its detail. */
function problemLines({ status, json }) {
  const head = [json.title, json.detail].filter(Boolean).join(": ") || "no reason given";
  const each = (json.problems ?? []).map(({ pointer, detail }) => `  ${pointer || "/"}: ${detail}`);
  return [`${head} (${status})`, ...each].join("\n");
}

/** Imports each document whose content this state has not seen; returns the names of their environments. */
async function importDocuments(documents, state, client) {
  const imported = state.readJson("imported.json") ?? {};
  const named = [];
  for (const { path, bytes, document, sha256 } of documents) {
    if (imported[sha256] === undefined) {
      const answer = await client.post("/v1/import", bytes);
      if (!answer.ok) throw new StartError(`${path} was refused: ${problemLines(answer)}`);
      imported[sha256] = path;
      state.writeJson("imported.json", imported);
    }
    named.push(...Object.keys(document?.environments ?? {}).map((environment) => `${document.project}/${environment}`));
  }
  return named;
}

/** The tokens of every environment this state knows, making those that are missing. */
async function ensureTokens(named, state, client) {
  const tokens = state.readJson("tokens.json") ?? {};
  for (const name of named) {
    const [project, environment] = name.split("/").map(encodeURIComponent);
    tokens[name] ??= {};
    for (const kind of TOKEN_KINDS.filter((kind) => tokens[name][kind] === undefined)) {
      const answer = await client.post(
        `/v1/projects/${project}/environments/${environment}/tokens`,
        JSON.stringify({ kind, name: `local ${kind}`, ...(kind === "admin" ? { role: "editor" } : {}) }),
      );
      if (!answer.ok) throw new StartError(`no ${kind} token for ${name}: ${problemLines(answer)}`);
      tokens[name][kind] = answer.json.token;
      state.writeJson("tokens.json", tokens);
    }
  }
  return tokens;
}

/** Asks until the answer is 200. */
async function untilOk(what, ask, good = () => true) {
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const response = await ask();
    const text = await response.text();
    if (response.ok && good(text)) return;
    if (Date.now() > deadline) throw new StartError(`${what}: ${text.slice(0, 500)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/**
 * The Worker is ready when it says so and every client token is good at the edge. Who asks the edge
 * before a token is published is told for seconds that it is not good, so that is waited for first.
 */
async function untilReady({ url, token: owner }, environments) {
  await untilOk("the Worker is not ready", () => fetch(`${url}/health/ready`));
  const evaluate = (token) =>
    fetch(`${url}/ofrep/v1/evaluate/flags`, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: "{}" });
  const look = (name) =>
    fetch(`${url}/v1/projects/${name.replace("/", "/environments/")}`, { headers: { authorization: `Bearer ${owner}` } });
  const ready = async ([name, { client }]) => {
    await untilOk(`${name} is not published`, () => look(name), (text) => JSON.parse(text).publication.settled);
    await untilOk(`${name} is not ready`, () => evaluate(client));
  };
  await Promise.all(Object.entries(environments).map(ready));
}

function miniflare({ port, host, state, ownerToken }) {
  return new Miniflare({
    host,
    port,
    cf: false,
    log: new StderrLog(LogLevel.ERROR),
    logRequests: false,
    handleStructuredLogs: ({ level, message }) => toStderr(`${level}: ${message}`),
    defaultPersistRoot: state.path("workerd"),
    workers: [{ name: "headgate", ...workerOptions({ bindings: { OWNER_TOKEN: ownerToken } }) }],
  });
}

/**
 * From here on SIGTERM and SIGINT end the process with 0 after `stop()`. Miniflare's own
 * handlers go: they exit at once, with another code.
 */
function stopOnSignal(stop) {
  let stopping = false;
  const end = async () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref();
    await stop();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) process.removeAllListeners(signal).on(signal, end);
}

/** Calls the Worker's scheduled handler as the platform would: workerd alone never does. */
async function startCron(server) {
  const worker = await server.getWorker("headgate");
  return setInterval(() => {
    worker.scheduled({ cron: CRON }).catch((error) => toStderr(`cron: ${error.message}`));
  }, CRON_EVERY_MS);
}

async function startIn(state, { port, host, documents, ownerToken }) {
  if (port !== 0) await checkPortIsFree(port, host);
  const server = miniflare({ port, host, state, ownerToken });
  const stop = async () => {
    await server.dispose();
    state.unlock();
  };
  stopOnSignal(stop);
  try {
    const url = `http://${isIPv6(host) ? `[${host}]` : host}:${(await server.ready).port}`;
    state.noteRuntime();
    const client = new Client(url, ownerToken);
    const named = await importDocuments(documents, state, client);
    const environments = await ensureTokens(named, state, client);
    await untilReady(client, environments);
    await startCron(server);
    return { url, ownerToken, environments };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}

/**
 * Starts the server and returns what its ready line says: the URL, the owner token and
 * each environment's tokens. Throws a `StartError`, `StateError` or `BuildMissing` for
 * what the caller can mend. The server runs until SIGTERM or SIGINT ends the process.
 */
export async function startServer({ port, host, state: folder, documents: paths, ownerToken }) {
  const documents = readDocuments(paths);
  const state = new State(folder);
  await state.lock();
  try {
    return await startIn(state, { port, host, documents, ownerToken: state.ownerToken(ownerToken) });
  } catch (error) {
    state.unlock();
    throw error;
  }
}

/** `startServer`, or the end of the process with the reason. */
export async function startOrExit(options) {
  try {
    return await startServer(options);
  } catch (error) {
    const inWords = [StartError, StateError, BuildMissing].some((kind) => error instanceof kind);
    toStderr(`headgate: ${inWords ? error.message : error.stack}`);
    return process.exit(1);
  }
}
