// Streams: server-sent events for a client, fed over a WebSocket by one of the environment's
// shards, which sleeps between notices. What is sent, and to whom, the core says.
import { pause, within } from "./patience.mjs";
import { read } from "./reads.mjs";
import { ask, KIND, READ } from "./wasm.mjs";

/** Shards of an environment, as `src/limits.rs` has them. */
const SHARDS = 16;
/** How long a shard may take to let a client in, ms. */
const PATIENCE = 3_000;
/** Between two comments that keep proxies from closing a silent stream, ms. */
const KEEP_ALIVE = 15_000;
/** After so long a client is sent away, to come back through another isolate, ms. */
const LIFE = 3_600_000;
/** How long a client waits before it comes back, ms; as much again by chance. */
const RETRY = 1_000;
/** Within how long after a notice it is looked whether its reader may still listen, ms. */
const REVIEW = 2_000;
/** Texts that a client may leave unread before it is given up. */
const UNREAD = 100;

/** Why there is no stream, as `src/edge/mod.rs` has it. */
export const FULL = 32;
export const AWAY = 64;

const encoder = new TextEncoder();

/** The socket to a shard, or why there is none. */
async function connect(request, message, env) {
  const [environment, known, token] = message.split("\n");
  const shard = `${environment}/${Math.floor(Math.random() * SHARDS)}`;
  const since = request.headers.get("last-event-id") ?? known;
  const tag = `${token} ${request.headers.get("cf-connecting-ip")}`;
  const url = `https://stream.headgate.internal/?${new URLSearchParams({ shard, since, tag })}`;
  try {
    const { status, webSocket } = await within(PATIENCE, env.STREAM.getByName(shard).fetch(url, { headers: { upgrade: "websocket" } }));
    return { socket: webSocket, refused: status === 429 ? FULL : AWAY };
  } catch (error) {
    console.warn(`${shard}: ${error?.message ?? error}`);
    return { socket: null, refused: AWAY };
  }
}

/** Whether the request would be let in again, now that the environment has got to `told`. */
async function mayListen(input, request, told, env) {
  const [method, target, ...rest] = input.split("\n");
  const again = [method, `${target}${target.includes("?") ? "&" : "?"}flagConfigEtag=${told}`, ...rest].join("\n");
  for (let waited = 0; ; ) {
    const frame = ask(again, { now: Date.now(), waited, size: 0, rate: 0 }, request);
    if (frame.kind !== KIND.wait) return frame.kind === KIND.stream || frame.status >= 500;
    const { environment, read: what, order } = frame;
    waited |= what === READ.pointer ? 1 : 2;
    await read(env, environment, { what, order, wait: true });
  }
}

/**
 * A stream for a request that the core has let in with `message`: its body, or why there is none.
 * `input` is what the core was asked.
 */
export async function listen(request, message, input, env) {
  const { socket, refused } = await connect(request, message, env);
  return socket ? { body: events(request, socket, (told) => mayListen(input, request, told, env)) } : { refused };
}

function events(request, socket, mayStay) {
  let timers = [];
  let open = true;
  let close;
  const end = () => {
    open = false;
    timers.forEach(clearTimeout);
    socket.close(1000);
  };
  return new ReadableStream({
    start(controller) {
      const write = (text) => {
        if (!open) return;
        controller.enqueue(encoder.encode(text));
        if (controller.desiredSize < -UNREAD) close();
      };
      close = () => {
        if (!open) return;
        end();
        controller.close();
      };
      const alive = () => {
        write(":\n\n");
        timers[0] = setTimeout(alive, KEEP_ALIVE);
      };
      timers = [setTimeout(alive, KEEP_ALIVE), setTimeout(close, LIFE * (1 - Math.random() / 10))];
      socket.addEventListener("message", async ({ data }) => {
        const [spread, event] = [data.slice(0, data.indexOf("\n")), data.slice(data.indexOf("\n") + 1)];
        if (spread > 0) await pause(Math.random() * spread);
        write(event);
        await pause(Math.random() * REVIEW);
        if (open && !(await mayStay(/^id: (.*)$/m.exec(event)[1]))) close();
      });
      // The platform cancels no body when its reader goes; it aborts the request.
      request.signal.addEventListener("abort", close);
      // Its shard is gone: the client comes back and is told what it has missed.
      socket.addEventListener("close", close);
      socket.addEventListener("error", close);
      write(`retry: ${Math.ceil(RETRY * (1 + Math.random()))}\n\n`);
      socket.accept();
    },
    cancel: end,
  });
}
