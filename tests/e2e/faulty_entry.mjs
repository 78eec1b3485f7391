// The Worker with its storage behind faults, for tests and propagation benches. Each
// isolate has its own settings, set by `POST /__faults`; `GET /__faults` says how often each
// binding was called since:
//   objects  { delay, slow, slowEvery, late, fail, only }  calls to Durable Objects
//   kv       { delay, none, fail, remember, only }         the KV namespace; `only` names methods
//   queue    { delay, fail }                               the queue's producer
// `delay` and `slow` are milliseconds; every `slowEvery`-th call takes `slow` instead of
// `delay`; `late` holds back the answer and not the question; `fail` makes every call throw;
// `only` names the bindings that are meant.
// `none` makes every KV read a miss; `remember` is how long a location keeps what a key
// was, a miss included, as the platform does and workerd alone does not.
import worker, * as headgate from "../../entry.mjs";

const OBJECTS = ["DIRECTORY", "ENVIRONMENT", "POINTER", "METRICS", "LEDGER", "STREAM"];

let settings = {};
let calls = 0;
let counts = {};
let remembered = new Map();

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function before({ delay = 0, slow = 0, slowEvery = 0, fail = false } = {}, what) {
  calls += 1;
  const wait = slowEvery > 0 && calls % slowEvery === 0 ? slow : delay;
  if (wait > 0) await sleep(wait);
  if (fail) throw new Error(`injected fault: ${what}`);
}

function count(binding) {
  counts[binding] = (counts[binding] ?? 0) + 1;
}

const isCallable = (target, name) => typeof name === "string" && typeof target[name] === "function";

/** `target`, each of whose method calls goes to `call` instead. */
function around(target, call) {
  return new Proxy(target, {
    get: (_, name) => (isCallable(target, name) ? (...args) => call(name, args) : target[name]),
  });
}

function faultyStub(stub, binding) {
  return around(stub, async (name, args) => {
    const { only, ...faults } = settings.objects ?? {};
    count(binding);
    if (only !== undefined && !only.includes(binding)) return stub[name](...args);
    await before(faults, binding);
    const answer = await stub[name](...args);
    if (faults.late > 0) await sleep(faults.late);
    return answer;
  });
}

function faultyNamespace(namespace, binding) {
  return around(namespace, (name, args) => {
    const result = namespace[name](...args);
    return name === "get" || name === "getByName" ? faultyStub(result, binding) : result;
  });
}

async function read(kv, name, args) {
  const { none, remember = 0 } = settings.kv ?? {};
  if (none) return name === "getWithMetadata" ? { value: null, metadata: null, cacheStatus: null } : null;
  if (remember === 0) return kv[name](...args);
  const key = JSON.stringify([name, ...args]);
  const kept = remembered.get(key);
  if (kept !== undefined && kept.until > Date.now()) return kept.value;
  const value = await kv[name](...args);
  remembered.set(key, { value, until: Date.now() + remember });
  return value;
}

function faultyKv(kv) {
  return around(kv, async (name, args) => {
    count("SNAPSHOTS");
    const { only, ...faults } = settings.kv ?? {};
    if (only === undefined || only.includes(name)) await before(faults, `SNAPSHOTS.${name}`);
    return name.startsWith("get") ? read(kv, name, args) : kv[name](...args);
  });
}

function faultyQueue(queue) {
  return around(queue, async (name, args) => {
    count("EVENTS");
    await before(settings.queue, `EVENTS.${name}`);
    return queue[name](...args);
  });
}

function faultyEnv(env) {
  const objects = OBJECTS.map((binding) => [binding, faultyNamespace(env[binding], binding)]);
  return { ...env, ...Object.fromEntries(objects), SNAPSHOTS: faultyKv(env.SNAPSHOTS), EVENTS: faultyQueue(env.EVENTS) };
}

const faulty = (Base) =>
  class extends Base {
    constructor(ctx, env) {
      super(ctx, faultyEnv(env));
    }
  };

export const DirectoryDo = faulty(headgate.DirectoryDo);
export const EnvironmentDo = faulty(headgate.EnvironmentDo);
export const PointerDo = faulty(headgate.PointerDo);
export const MetricsDo = faulty(headgate.MetricsDo);
export const LedgerDo = faulty(headgate.LedgerDo);
/** Counts its lives in memory: `{ StreamDo }`. */
export const StreamDo = class extends faulty(headgate.StreamDo) {
  constructor(ctx, env) {
    super(ctx, env);
    count("StreamDo");
  }
};

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/__faults") {
      if (request.method === "GET") return Response.json(counts);
      settings = await request.json();
      calls = 0;
      counts = {};
      remembered = new Map();
      return new Response(null, { status: 204 });
    }
    return worker.fetch(request, faultyEnv(env), ctx);
  },
  queue: (batch, env, ctx) => worker.queue(batch, faultyEnv(env), ctx),
  scheduled: (event, env, ctx) => worker.scheduled(event, faultyEnv(env), ctx),
};
