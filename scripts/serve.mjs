// `npm start -- …`: a local Headgate for other programs; see HELP.
import "./lib/node.mjs";
import { parseArgs } from "node:util";

const HELP = `Serves the built Worker (\`make build\`) on this machine.

  npm start -- [options]

  --port N           port to listen on; 0 takes a free one (8787)
  --host H           address to listen on (127.0.0.1)
  --state DIR        where KV, queue and Durable Objects are kept (.headgate)
  --import FILE      a project document to import, once for each content; repeatable
  --owner-token T    the deployment's owner token; also $OWNER_TOKEN.
                     Without either, one is made and kept in the state folder
  --ready-file F     also write the ready line to F
  --help             print this

When it is ready it writes one line of JSON: the base URL, the owner token and a
client, server and admin token for each imported environment. A later start on the
same state folder has the same tokens. SIGTERM and SIGINT end it, with exit code 0.
The queue lives in memory: events not yet consumed are lost when it ends.`;

const OPTIONS = {
  port: { type: "string", default: "8787" },
  host: { type: "string", default: "127.0.0.1" },
  state: { type: "string", default: ".headgate" },
  import: { type: "string", multiple: true, default: [] },
  "owner-token": { type: "string", default: process.env.OWNER_TOKEN },
  "ready-file": { type: "string" },
  help: { type: "boolean", default: false },
};

function options() {
  try {
    const { values } = parseArgs({ options: OPTIONS });
    const port = Number(values.port);
    if (!/^\d+$/.test(values.port) || port > 65_535) throw new Error(`--port takes 0 to 65535, not \`${values.port}\``);
    return { ...values, port };
  } catch (error) {
    console.error(`headgate: ${error.message}\nTry --help.`);
    return process.exit(2);
  }
}

async function main() {
  const given = options();
  if (given.help) {
    console.log(HELP);
    return;
  }
  const { startOrExit } = await import("./lib/server.mjs");
  const { writePrivate } = await import("./lib/state.mjs");
  const ready = await startOrExit({
    port: given.port,
    host: given.host,
    state: given.state,
    documents: given.import,
    ownerToken: given["owner-token"],
  });
  const line = JSON.stringify(ready);
  if (given["ready-file"]) writePrivate(given["ready-file"], `${line}\n`);
  console.log(line);
}

await main();
