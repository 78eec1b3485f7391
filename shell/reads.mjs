// What the data plane reads when it says so: pointers, snapshots, holders of hostnames. An isolate
// keeps plain data only, so each request that must wait does its own read.
import { pause, within } from "./patience.mjs";
import { call, OPERATION, READ } from "./wasm.mjs";

/** How long a request waits for a pointer, and then for a snapshot that is newer than the one here, ms. */
const PATIENCE = 1_500;
/** How long it waits for a snapshot without which it has no answer, ms. */
const SNAPSHOT_PATIENCE = 6_000;
/** KV that has not given a snapshot for so long is passed over, ms: what follows must fit into the patience. */
const KV_PATIENCE = 1_000;
/** A Durable Object that has not answered for so long is asked again in parallel, ms. */
const HEDGE = 300;
const HEDGES = 4;
/** A pointer in the location's cache serves while it is not older than this, ms. */
const SHARED_POINTER_AGE = 3_000;
/** Silence of the control plane after which KV's copy of the pointer is taken, ms. */
const SILENCE = 1_000;
/** Snapshots never change. */
const SNAPSHOT_SECONDS = 86_400;
const KV_SECONDS = 3_600;
const HOST_SECONDS = 30;
/** How long KV, and then the directory, is waited for to say who routes a host, ms. */
const HOST_PATIENCE = 1_500;
const FORMAT = 1;

/** Asks, and asks again while there is no answer: one slow call out of fifty must not be waited for. */
async function hedged(ask) {
  const attempts = [];
  for (let attempt = 0; attempt < HEDGES; attempt += 1) {
    attempts.push(ask());
    try {
      return await within(HEDGE, Promise.any(attempts));
    } catch {
      // Silence or failure so far; the next attempt joins those under way.
    }
  }
  return within(PATIENCE, Promise.any(attempts));
}

/** The location's cache; absent, failing or doing nothing on some hostnames. */
const shared = {
  async get(key) {
    try {
      return await (await caches.default.match(key))?.text();
    } catch {
      return undefined;
    }
  },
  async put(key, text, seconds) {
    try {
      await caches.default.put(key, new Response(text, { headers: { "cache-control": `max-age=${seconds}` } }));
    } catch {
      // Without the cache every isolate asks for itself.
    }
  },
};

const flat = (environment) => environment.replace("/", ".");

async function acceptPointer(environment, text, readAt) {
  call(OPERATION.acceptPointer, `${environment}\n${readAt}\n${text}`);
}

/** Whether a pointer is at a place in the order of pointers, or beyond. */
function reaches(text, [incarnation, sequence]) {
  if (incarnation === 0) return true;
  const pointer = JSON.parse(text);
  return pointer.incarnation > incarnation || (pointer.incarnation === incarnation && pointer.sequence >= sequence);
}

async function readPointer(env, environment, order) {
  const key = `https://pointer.headgate.internal/${environment}`;
  const kept = await shared.get(key);
  if (kept !== undefined) {
    const end = kept.indexOf("\n");
    const readAt = Number(kept.slice(0, end));
    const text = kept.slice(end + 1);
    const young = Math.abs(Date.now() - readAt) <= SHARED_POINTER_AGE;
    if (young && reaches(text, order)) return acceptPointer(environment, text, readAt);
  }
  // The age of what comes back counts from here, however long it takes.
  const readAt = Date.now();
  const text = await hedged(() => env.POINTER.getByName(environment).call('"read"'));
  if (text === null) return call(OPERATION.acceptAbsence, environment);
  acceptPointer(environment, text, readAt);
  await sharePointer(key, text, readAt);
}

/** Leaves a pointer for others, unless somebody who asked later has left theirs. */
async function sharePointer(key, text, readAt) {
  const kept = await shared.get(key);
  if (kept !== undefined && Number(kept.slice(0, kept.indexOf("\n"))) > readAt) return;
  await shared.put(key, `${readAt}\n${text}`, Math.ceil(SHARED_POINTER_AGE / 1_000));
}

/** KV's copy of the pointer, for when the control plane is silent; of unknown age, hence stale. */
async function readPointerCopy(env, environment) {
  const text = await env.SNAPSHOTS.get(`current/${flat(environment)}`);
  if (text === null) throw new Error("KV has no pointer");
  call(OPERATION.acceptCopy, `${environment}\n${text}`);
}

/** Reads a snapshot from where it is cheapest; what cannot be read or used is looked for further on. */
async function readSnapshot(env, environment, [incarnation, version]) {
  const name = `snapshot/${flat(environment)}/${FORMAT}/${incarnation}.${version}`;
  const key = `https://snapshot.headgate.internal/${name}`;
  const kept = await shared.get(key);
  if (kept !== undefined && acceptSnapshot(environment, kept) === "") return;
  // KV remembers a miss, so a version that has just been published may only be with its object.
  const sources = [
    () => within(KV_PATIENCE, env.SNAPSHOTS.get(name, { cacheTtl: KV_SECONDS })),
    () => env.ENVIRONMENT.getByName(environment).call(JSON.stringify({ snapshot: { version } })),
  ];
  let fault = `there is no version ${version}`;
  for (const source of sources) {
    const text = await source().catch((error) => {
      fault = String(error?.message ?? error);
      return null;
    });
    if (text === null) continue;
    const refused = acceptSnapshot(environment, text);
    if (refused === "") return shared.put(key, text, SNAPSHOT_SECONDS);
    fault = refused;
  }
  throw new Error(fault);
}

/** Hands a snapshot to the core; gives what is wrong with it, or nothing. */
const acceptSnapshot = (environment, text) => call(OPERATION.acceptSnapshot, `${environment}\n${text}`);

/** Reads what a frame names; whatever goes wrong is noted and the data plane goes by what it has. */
export async function read(env, environment, { what, order, wait = false }) {
  try {
    if (what === READ.pointer) {
      await (wait ? awaitPointer(env, environment, order) : readPointer(env, environment, order));
    } else {
      const patience = wait && what === READ.newer ? PATIENCE : SNAPSHOT_PATIENCE;
      await within(patience, readSnapshot(env, environment, order));
    }
  } catch (error) {
    console.warn(`${environment}: ${error?.message ?? error}`);
    call(OPERATION.acceptFailure, environment);
  }
}

/** A pointer that a request waits for: from the control plane, after a silence from KV. */
async function awaitPointer(env, environment, order) {
  let silent = true;
  const asked = readPointer(env, environment, order).then(() => {
    silent = false;
  });
  const copy = pause(SILENCE).then(() => (silent ? readPointerCopy(env, environment) : undefined));
  await within(PATIENCE, Promise.any([asked, copy]));
}

/** Which hosts are routed, of those met: only then is a request's body left unread. */
const routed = new Map();
const HOSTS = 2_000;

/** Whether a host (with its port) is routed; undefined when it was not met yet. */
export const isRouted = (authority) => routed.get(authority);

/** Finds out what a host is, and says whether it is routed. */
export async function meet(env, authority) {
  const host = authority.replace(/:\d+$/, "");
  const unknown = call(OPERATION.meetHost, `${host}\n${env.GATEWAY_HOSTS ?? ""}`) !== "";
  const is = unknown && call(OPERATION.acceptHost, `${host}\n${await holder(env, host)}`) !== "";
  if (routed.size >= HOSTS) routed.clear();
  routed.set(authority, is);
  return is;
}

/** The environment that routes a hostname, nothing when none does, `?` when nobody says. */
async function holder(env, host) {
  const names = [host, host.replace(/^[^.]+/, "*")];
  try {
    const look = (name) => env.SNAPSHOTS.get(`host/${name}`, { cacheTtl: HOST_SECONDS });
    const [exact, wide] = await within(HOST_PATIENCE, Promise.all(names.map(look)));
    return exact ?? wide ?? "";
  } catch (error) {
    console.warn(`${host}: ${error?.message ?? error}`);
  }
  try {
    const question = JSON.stringify({ holder: host });
    return (await within(HOST_PATIENCE, env.DIRECTORY.getByName("directory").call(question))) ?? "";
  } catch (error) {
    console.warn(`${host}: ${error?.message ?? error}`);
    return "?";
  }
}
