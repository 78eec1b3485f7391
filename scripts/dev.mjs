// `make dev`: the server of `serve.mjs` for a person. It imports the example products
// on the first start, puts two demo sites behind a canary route, and prints where everything is and what
// to try.
//   node scripts/dev.mjs [--port N] [--state DIR]
import "./lib/node.mjs";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startDemo } from "./lib/demo.mjs";
import { inRoot } from "./lib/paths.mjs";
import { startOrExit } from "./lib/server.mjs";

// A change is everywhere within 5 s; see docs/decisions/0002-snapshots-and-pointer.md.
const SEEN_AFTER_S = 5;

function exampleDocuments() {
  const folders = existsSync(inRoot("examples")) ? readdirSync(inRoot("examples")).sort() : [];
  return folders.map((name) => inRoot(`examples/${name}/project.json`)).filter((path) => existsSync(path));
}

/** Every client-visible boolean flag, production first: `{ project, environment, key }`. */
function booleanFlags(paths) {
  const flags = [];
  for (const { project, environments } of paths.map((path) => JSON.parse(readFileSync(path, "utf8")))) {
    for (const [environment, { flags: ofEnvironment = {} }] of Object.entries(environments)) {
      const keys = Object.keys(ofEnvironment).filter((key) => ofEnvironment[key].type === "boolean" && ofEnvironment[key].client);
      flags.push(...keys.map((key) => ({ project, environment, key })));
    }
  }
  return flags.sort((a, b) => (b.environment === "production") - (a.environment === "production"));
}

async function evaluate(url, token, key) {
  const response = await fetch(`${url}/ofrep/v1/evaluate/flags/${key}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ context: { targetingKey: "u-1" } }),
  });
  return response.ok ? (await response.json()).value : undefined;
}

/** A flag that is on for the unit `u-1`, so that switching it off shows; else any. */
async function flagToTry({ url, environments }, flags) {
  for (const flag of flags) {
    const { client } = environments[`${flag.project}/${flag.environment}`] ?? {};
    if (client && (await evaluate(url, client, flag.key)) === true) return flag;
  }
  return flags[0];
}

function curlLines({ url, environments }, { project, environment, key }) {
  const { client, admin } = environments[`${project}/${environment}`];
  const json = `-H 'content-type: application/json'`;
  const one = `curl -s ${url}/ofrep/v1/evaluate/flags/${key} -H 'authorization: Bearer ${client}' ${json} -d '{"context":{"targetingKey":"u-1"}}'`;
  const all = `curl -s ${url}/ofrep/v1/evaluate/flags -H 'authorization: Bearer ${client}' ${json} -d '{"context":{"targetingKey":"u-1"}}'`;
  const change = `curl -fsS -o /dev/null -X PATCH ${url}/v1/projects/${project}/environments/${environment}/flags/${key} -H 'authorization: Bearer ${admin}' ${json} -d '{"enabled":false}'`;
  return { one, all, flip: `${change} && sleep ${SEEN_AFTER_S} && ${one}` };
}

function print(ready, flag, state) {
  const lines = [
    "",
    `Headgate is ready at ${ready.url}`,
    "",
    `  links     ${ready.url}/`,
    `  health    ${ready.url}/health`,
    `  API       ${ready.url}/openapi.json`,
    `  OFREP     ${ready.url}/ofrep/v1/evaluate/flags`,
    `  state     ${state} (remove the folder to start over)`,
    `  owner     ${ready.ownerToken}`,
  ];
  if (flag) {
    const name = `${flag.project}/${flag.environment}`;
    const { one, all, flip } = curlLines(ready, flag);
    lines.push(
      "",
      `Tokens of ${name} (all ${Object.keys(ready.environments).length} environments are in ${state}/tokens.json):`,
      `  client    ${ready.environments[name].client}`,
      `  server    ${ready.environments[name].server}`,
      `  admin     ${ready.environments[name].admin}`,
      "",
      "Try: evaluate one flag",
      `  ${one}`,
      "all flags of the environment",
      `  ${all}`,
      `switch ${flag.key} off and see it switched`,
      `  ${flip}`,
    );
  }
  const { port } = new URL(ready.url);
  lines.push(
    "",
    "Canary: two demo sites behind one route, half of the visitors on each",
    `  redirect  http://demo.localhost:${port}/`,
    `  proxy     http://demo.localhost:${port}/proxied/`,
  );
  console.log([...lines, "", "Ctrl-C ends it; what it stores stays."].join("\n"));
}

const { values } = parseArgs({
  options: { port: { type: "string", default: "8787" }, state: { type: "string", default: ".headgate" } },
});
/** The demo's document as a file: it is imported again only when its ports are others. */
async function demoDocument(port, state) {
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const path = join(state, "demo.json");
  writeFileSync(path, JSON.stringify(await startDemo(port), null, 2));
  return path;
}

const documents = [...exampleDocuments(), await demoDocument(Number(values.port), values.state)];
const ready = await startOrExit({
  port: Number(values.port),
  host: "127.0.0.1",
  state: values.state,
  documents,
  ownerToken: process.env.OWNER_TOKEN,
});
print(ready, await flagToTry(ready, booleanFlags(documents)), values.state);
