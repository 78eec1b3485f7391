// The Worker's shell: it moves bytes between the platform and the core, and decides nothing.
import { administer } from "./shell/admin.mjs";
import { consume } from "./shell/queue.mjs";
import { failure } from "./shell/failure.mjs";
import { behind, flush, reconcile } from "./shell/background.mjs";
import { limited } from "./shell/rates.mjs";
import { isRouted, meet, read } from "./shell/reads.mjs";
import { readBody } from "./shell/body.mjs";
import { listen } from "./shell/stream.mjs";
import { problem, travel } from "./shell/travel.mjs";
import { ask, KIND, READ } from "./shell/wasm.mjs";

export { DirectoryDo, EnvironmentDo, LedgerDo, MetricsDo, PointerDo, StreamDo } from "./shell/objects.mjs";

const POINTER_WAITED = 1;
const SNAPSHOT_WAITED = 2;
const QUEUE_WAITED = 4;
/** By how many bits what was waited for of a second environment lies higher. */
const ELSEWHERE = 3;

async function fetch(request, env, ctx) {
  try {
    return await answer(request, env, ctx);
  } catch (error) {
    // The core is gone and with it its words; the next request gets a new one.
    console.error(error?.stack ?? error);
    return failure(request);
  }
}

async function answer(request, env, ctx) {
  const { url, method, headers } = request;
  const target = url.slice(url.indexOf("/", 8));
  const base = url.slice(0, url.length - target.length).toLowerCase();
  const authority = base.slice(base.indexOf("//") + 2);
  // What is a product's passes by with its body unread.
  if (isRouted(authority) ?? (await meet(env, authority))) {
    const response = await travel(request, env, ctx, { target, authority });
    if (response !== undefined) return response;
  }
  let { text, size } = EMPTY;
  if (method !== "GET" && method !== "HEAD") {
    // Most bodies are small, plain and evaluated: read here they cost one promise less.
    size = headers.get("content-encoding") === null ? Number(headers.get("content-length") ?? Infinity) : Infinity;
    if (size <= SMALL && PASSING.some((path) => target.startsWith(path))) text = await request.text();
    else ({ text, size } = await readBody(request, target));
  }
  const header = (name) => headers.get(name) ?? "";
  const authorization = header("authorization");
  const input = `${method}\n${target}\n${base}\n${authorization}\n${header("if-none-match")}\n${header("origin")}\n${header("cookie")}\n${text}`;
  const rate = limited(authorization, headers, target, env, ctx);

  let waited = 0;
  let first;
  for (;;) {
    const frame = ask(input, { now: Date.now(), waited, size, rate }, request);
    switch (frame.kind) {
      case KIND.reply: {
        // The frame is good until the next call into wasm: the answer comes first.
        const response = frame.response();
        behind(frame, env, ctx, authority);
        return response;
      }
      case KIND.wait: {
        const { environment, read: what, order } = frame;
        await read(env, environment, { what, order, wait: true });
        first ??= environment;
        waited |= (what === READ.pointer ? POINTER_WAITED : SNAPSHOT_WAITED) << (environment === first ? 0 : ELSEWHERE);
        break;
      }
      case KIND.host:
        await meet(env, authority);
        break;
      case KIND.travel:
        // The host has become a product's since the request came: what was read of it cannot be sent on.
        if (request.bodyUsed) return problem(503, '{"title":"The host has just been routed","status":503}');
        return travel(request, env, ctx, { target, authority });
      case KIND.queue: {
        // The answer says 202: it may only be sent once the queue has the message.
        const message = frame.subject;
        const response = frame.response();
        behind(frame, env, ctx, authority);
        if (await enqueue(message, env)) return response;
        waited |= QUEUE_WAITED;
        break;
      }
      case KIND.stream: {
        const message = frame.subject;
        const head = frame.response();
        behind(frame, env, ctx);
        const { body, refused } = await listen(request, message, input, env);
        if (body !== undefined) return new Response(body, head);
        waited |= refused;
        break;
      }
      default: {
        behind(frame, env, ctx, authority);
        const response = await administer(request, { text, size }, env);
        flush(env, ctx);
        return response;
      }
    }
  }
}

/** Bodies up to this many bytes are within every path's bound. */
const SMALL = 65_536;
/** Where nothing of a body is kept: bytes that are no UTF-8 are not refused, but replaced. */
const PASSING = ["/ofrep/", "/v1/startup"];
const EMPTY = { text: "", size: 0 };

/** Whether the queue took the message. */
async function enqueue(message, env) {
  try {
    await env.EVENTS.send(message, { contentType: "text" });
    return true;
  } catch (error) {
    console.warn(`the queue took no message: ${error?.message ?? error}`);
    return false;
  }
}

export default {
  fetch,
  queue: (batch, env) => consume(batch, env),
  scheduled: (event, env) => reconcile(env),
};
