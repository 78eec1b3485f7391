// Everything that is not the data plane: the core says which objects to call, and what to answer.
import { count } from "./background.mjs";
import openapi from "../schema/openapi.json";
import home from "./home.html";
import { call, OPERATION } from "./wasm.mjs";

const BINDINGS = { directory: "DIRECTORY", environment: "ENVIRONMENT", pointer: "POINTER", metrics: "METRICS" };
/** Files that are answers: too large to be carried in the wasm for every evaluation. */
const ASSETS = { home, openapi };
/** Calls at once: production allows six connections. */
const AT_ONCE = 6;

async function send(env, { object, name, message }) {
  try {
    return { ok: await env[BINDINGS[object]].getByName(name).call(message) };
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

async function sendAll(env, calls) {
  const answers = [];
  for (let at = 0; at < calls.length; at += AT_ONCE) {
    answers.push(...(await Promise.all(calls.slice(at, at + AT_ONCE).map((one) => send(env, one)))));
  }
  return answers;
}

/** When this code was deployed; locally, when it was started. */
const started = () => (startedAt ??= Date.now());
let startedAt;

function deployment({ VERSION }) {
  const timestamp = Date.parse(VERSION?.timestamp ?? "");
  return { versionId: VERSION?.id ?? "local", deployedAt: Number.isNaN(timestamp) ? started() : timestamp };
}

/** Answers a request of the control plane. */
export async function administer(request, { text, size }, env) {
  const url = new URL(request.url);
  const header = (name) => request.headers.get(name) ?? undefined;
  const input = {
    request: {
      method: request.method,
      path: url.pathname,
      query: url.search.slice(1),
      authorization: header("authorization"),
      ifMatch: header("if-match"),
      ifNoneMatch: header("if-none-match"),
      reason: header("headgate-reason"),
      contentType: header("content-type"),
      body: text,
    },
    size,
    owner: env.OWNER_TOKEN,
    gatewayHosts: env.GATEWAY_HOSTS,
    now: Date.now(),
    deployment: deployment(env),
    conditions: JSON.parse(call(OPERATION.status, "")),
    gathered: [],
  };
  for (;;) {
    const plan = JSON.parse(call(OPERATION.plan, JSON.stringify(input)));
    if (plan.reply) {
      count(plan.counters);
      const body = plan.asset === undefined ? plan.reply.body : ASSETS[plan.asset];
      return new Response(body || null, plan.reply);
    }
    input.gathered.push(...(await sendAll(env, plan.calls)));
  }
}
