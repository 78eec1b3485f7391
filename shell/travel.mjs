// Traffic of routed hosts: the core says where to, this fetches it. Bodies stream both ways; nothing is
// read or held here.
import { behind } from "./background.mjs";
import { meet, read } from "./reads.mjs";
import { call, KIND, OPERATION, READ, travelOf } from "./wasm.mjs";

const POINTER_WAITED = 1;
const SNAPSHOT_WAITED = 2;

/** Answers a request of a routed host; nothing when the gateway itself is meant. */
export async function travel(request, env, ctx, { target, authority }) {
  const { method, headers, url } = request;
  const secure = url.startsWith("https:") ? "1" : "";
  const input = `${method}\n${target}\n${authority}\n${secure}\n${headers.get("cookie") ?? ""}`;
  let waited = 0;
  for (;;) {
    const frame = travelOf(input, { now: Date.now(), waited }, request);
    switch (frame.kind) {
      case KIND.reply: {
        const response = frame.response();
        behind(frame, env, ctx, authority);
        return response;
      }
      case KIND.wait: {
        const { environment, read: what, order } = frame;
        await read(env, environment, { what, order, wait: true });
        waited |= what === READ.pointer ? POINTER_WAITED : SNAPSHOT_WAITED;
        break;
      }
      case KIND.host:
        await meet(env, authority);
        break;
      case KIND.fetch: {
        const plan = frame.subject;
        behind(frame, env, ctx, authority);
        return carry(request, plan);
      }
      default:
        return undefined;
    }
  }
}

/** Headers edited as the core says: name and value by turns; no value drops, `+name` adds. */
function edit(headers, lines) {
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const [name, value] = [lines[at], lines[at + 1]];
    if (name.startsWith("+")) headers.append(name.slice(1), value);
    else if (value === "") headers.delete(name);
    else headers.set(name, value);
  }
}

/** Fetches what a plan says, a second time elsewhere when the core says so. */
async function carry(request, plan) {
  const [url, fallback, timeout, first, ...lines] = plan.split("\n");
  const headers = new Headers(request.headers);
  edit(headers, lines);
  let ticket = first;
  let fetched = await attempt(url, { method: request.method, headers, body: request.body }, Number(timeout));
  let verdict = judge(ticket, fetched);
  if (verdict[0] === "again") {
    await fetched.response?.body?.cancel();
    ticket = verdict[1];
    edit(headers, verdict.slice(2));
    fetched = await attempt(fallback, { method: request.method, headers }, Number(timeout));
    verdict = judge(ticket, fetched);
  }
  if (verdict[0] === "fail") return problem(verdict[1], verdict.slice(2).join("\n"));
  const { response } = fetched;
  // A websocket: the two ends are joined, and nothing of it is an answer to edit.
  if (response.webSocket) return response;
  const answer = new Response(response.body, response);
  edit(answer.headers, verdict.slice(1));
  return answer;
}

/** What the core makes of what was fetched, by lines. */
function judge(ticket, { response, failure, millis }) {
  const header = (name) => response?.headers.get(name) ?? "";
  const outcome = failure ?? response.status;
  const input = `${ticket}\n${millis}\n${outcome}\n${header("location")}\n${header("cache-control")}`;
  return call(OPERATION.returned, input).split("\n");
}

/** The answer's head, or why there is none: `{ response, failure, millis }`. */
async function attempt(url, init, timeout) {
  const begun = Date.now();
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeout);
  try {
    const response = await fetch(url, { ...init, redirect: "manual", signal: abort.signal });
    return { response, millis: Date.now() - begun };
  } catch (error) {
    const failure = abort.signal.aborted ? "timeout" : "refused";
    console.warn(`${new URL(url).host}: ${failure}: ${error?.message ?? error}`);
    return { failure, millis: Date.now() - begun };
  } finally {
    clearTimeout(timer);
  }
}

/** A problem of the routed host's, with the headers of every answer but those that speak for a whole site. */
export function problem(status, body) {
  const headers = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  };
  return new Response(body, { status: Number(status), headers });
}
