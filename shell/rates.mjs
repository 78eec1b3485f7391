// Rate limits by the platform's binding. The binding is asked beside the request, not before it:
// its verdict holds for the requests that follow, so that nobody waits for it.

/** How long a verdict holds, ms; the bindings count in windows of 10 s. */
const WINDOW = 10_000;
/** Keys remembered at most. */
const KEYS = 20_000;
/** Characters of an `Authorization` that can be a token's; what is longer counts as one. */
const LONGEST = 512;
/** Requests of a key within a window before the binding is asked: most apps stay below. */
const QUIET = 4;

const NO = 0;
const TOKEN = 1;
const DEPLOYMENT = 2;

let seen = new Map();
let full = 0;

/** Why the request is over a limit: 0 is not, 1 its token's, 2 everybody's together. */
export function limited(authorization, headers, target, env, ctx) {
  const now = Date.now();
  // Every install of an app shares its client token, and who has none shares nothing: the address tells them apart.
  const client = authorization === "" || authorization.includes("hgc_");
  const name = authorization.length > LONGEST ? "" : authorization;
  const key = client ? `${name} ${headers.get("cf-connecting-ip")}` : name;
  let entry = seen.get(key);
  if (entry === undefined || now - entry.since >= WINDOW) {
    if (seen.size >= KEYS) seen = new Map();
    entry = { since: now, count: 0, refused: false };
    seen.set(key, entry);
  }
  entry.count += 1;
  if (entry.refused) return TOKEN;
  if (entry.count > QUIET) {
    const binding = client ? env.RATE_CLIENT : env.RATE_SERVER;
    ctx.waitUntil(verdict(binding, key, () => { entry.refused = true; }));
    ctx.waitUntil(verdict(env.RATE_DEPLOYMENT, "all", () => { full = now + WINDOW; }));
  }
  return now < full ? DEPLOYMENT : NO;
}

async function verdict(binding, key, refuse) {
  const { success } = (await binding?.limit({ key })) ?? { success: true };
  if (!success) refuse();
}
