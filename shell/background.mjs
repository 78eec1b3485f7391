// What happens beside requests: counts on their way to the metrics object, and the minute's round.
import { call, OPERATION, takeTraps } from "./wasm.mjs";

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

/** The minute's round: every environment's pointer is compared with the truth. */
export async function reconcile(env) {
  const environments = JSON.parse(await env.DIRECTORY.getByName("directory").call('"environments"'));
  for (const name of environments) {
    try {
      const pointer = await env.POINTER.getByName(name).call('"read"');
      await env.ENVIRONMENT.getByName(name).reconcile(pointer);
    } catch (error) {
      // One environment's trouble is not another's.
      console.warn(`${name}: not reconciled: ${error?.message ?? error}`);
    }
  }
}
