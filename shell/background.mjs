// What happens beside requests: counts on their way to the metrics object, and the minute's round.
import { meet, read } from "./reads.mjs";
import { call, OPERATION, READ, takeTraps } from "./wasm.mjs";

/** An isolate sends its counts at most this often, ms. */
const FLUSH = 5_000;

/** Names this isolate; made at the first request, because no randomness is to be had before. */
let isolate;
let flushes = 0;
let flushed = 0;

/** Counts of the control plane, in the metrics object's form; the data plane keeps its own. */
let counts = [];

/** Adds counts to what is sent next. */
export function count(deltas) {
  counts.push(...deltas);
}

/** What is done behind an answer. */
export function behind(frame, env, ctx, authority) {
  if (frame.read !== READ.nothing) ctx.waitUntil(read(env, frame.environment, { what: frame.read, order: frame.order }));
  if (frame.hostDue) ctx.waitUntil(meet(env, authority));
  flush(env, ctx);
}

/** Sends the isolate's counts, in the background, when it is time. */
export function flush(env, ctx) {
  const now = Date.now();
  if (Math.abs(now - flushed) < FLUSH) return;
  flushed = now;
  ctx.waitUntil(send(env));
}

async function send(env) {
  isolate ??= crypto.randomUUID();
  flushes += 1;
  const counters = [...JSON.parse(call(OPERATION.takeCounts, "")), ...counts, ["headgate_traps_total", {}, takeTraps()]];
  counts = [];
  // A lost flush loses counts, never an answer: they are not events.
  await env.METRICS.getByName("metrics")
    .call(JSON.stringify({ add: { isolate, flush: flushes, counters } }))
    .catch((error) => console.warn(`no metrics: ${error?.message ?? error}`));
}

/** Hostnames whose copy in KV is compared with the truth in one round. */
const HOSTS = 50;

/** Compares the copies of some hostnames, others in each round, and mends them. */
async function mend(env, hosts, round) {
  const start = hosts.length > HOSTS ? (round * HOSTS) % hosts.length : 0;
  for (const [host, environment] of hosts.slice(start, start + HOSTS)) {
    const key = `host/${host}`;
    if ((await env.SNAPSHOTS.get(key)) === environment) continue;
    await (environment === null ? env.SNAPSHOTS.delete(key) : env.SNAPSHOTS.put(key, environment));
  }
}

/** The minute's round: every environment's pointer and hostnames are compared with the truth. */
export async function reconcile(env) {
  const directory = env.DIRECTORY.getByName("directory");
  const environments = JSON.parse(await directory.call('"environments"'));
  const hosts = JSON.parse(await directory.call('"hosts"'));
  const of = (name) => hosts.filter(([, environment]) => environment === name).map(([host]) => host);
  await mend(env, hosts, Math.floor(Date.now() / 60_000)).catch((error) => console.warn(`hosts: ${error?.message ?? error}`));
  for (const name of environments) {
    try {
      const pointer = await env.POINTER.getByName(name).call('"read"');
      await env.ENVIRONMENT.getByName(name).reconcile(pointer, of(name));
    } catch (error) {
      // One environment's trouble is not another's.
      console.warn(`${name}: not reconciled: ${error?.message ?? error}`);
    }
  }
}
