// The server of `npm start`: its ready line, what it keeps, and how it says no.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import test from "node:test";
import { startProcess, temporaryFolder } from "./harness.mjs";

const DOCUMENT = {
  project: "serve-test",
  environments: {
    production: {
      flags: {
        greeting: {
          type: "boolean",
          variants: { on: true, off: false },
          enabled: true,
          off: "off",
          client: true,
          default: "on",
        },
      },
    },
  },
};

function writeDocument(folder, document = DOCUMENT) {
  const path = join(folder, "project.json");
  writeFileSync(path, typeof document === "string" ? document : JSON.stringify(document));
  return path;
}

/** What a start that must fail says. */
async function refusal(options) {
  try {
    await startProcess(options);
  } catch (error) {
    return error.message;
  }
  return assert.fail("it started");
}

const evaluate = (server) =>
  server.ask("/ofrep/v1/evaluate/flags/greeting", {
    method: "POST",
    headers: {
      authorization: `Bearer ${server.ready.environments["serve-test/production"].client}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ context: { targetingKey: "u-1" } }),
  });

test("the ready line opens the door, in the ready file too, and SIGTERM ends with 0", async (t) => {
  const folder = temporaryFolder(t);
  const readyFile = join(folder, "ready.json");
  const server = await startProcess({
    t,
    state: join(folder, "state"),
    documents: [writeDocument(folder)],
    args: ["--ready-file", readyFile],
  });
  assert.deepEqual(JSON.parse(readFileSync(readyFile, "utf8")), server.ready);
  assert.deepEqual(Object.keys(server.ready), ["url", "ownerToken", "environments"]);
  assert.deepEqual(Object.keys(server.ready.environments["serve-test/production"]), ["client", "server", "admin"]);
  const { status, body } = await evaluate(server);
  assert.deepEqual([status, body.value], [200, true]);
  assert.equal(await server.stop(), 0);
  assert.equal(server.output.stdout.trim().split("\n").length, 1);
});

test("a later start has the same tokens, also after a kill; only the owner reads them", async (t) => {
  const folder = temporaryFolder(t);
  const state = join(folder, "state");
  const documents = [writeDocument(folder)];
  const first = await startProcess({ t, state, documents });
  assert.equal(await first.kill(), "SIGKILL");
  const second = await startProcess({ t, state, documents });
  assert.deepEqual(second.ready.environments, first.ready.environments);
  assert.equal((await evaluate(second)).status, 200);
  assert.equal(statSync(join(state, "tokens.json")).mode & 0o777, 0o600);
});

test("a server that was killed leaves nothing in the next one's way", async (t) => {
  const state = join(temporaryFolder(t), "state");
  const first = await startProcess({ t, state });
  await first.crash();
  const second = await startProcess({ t, state });
  assert.equal(second.ready.ownerToken, first.ready.ownerToken);
  await assert.rejects(fetch(`${first.url}/health/ready`), "its workerd has ended");
});

test("what is wrong is said, and the exit code is not 0", async (t) => {
  const folder = temporaryFolder(t);
  const state = join(folder, "state");
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  t.after(() => holder.close());
  const { port } = holder.address();

  assert.match(await refusal({ t, state, port }), new RegExp(`ended with 1: headgate: port ${port} on 127.0.0.1 is already taken`));
  assert.match(await refusal({ t, state, documents: [join(folder, "none.json")] }), /cannot read .*none\.json: no such file/);
  assert.match(await refusal({ t, state, documents: [writeDocument(folder, "{")] }), /project\.json is not JSON/);
  const broken = { project: "serve-test", environments: { production: { flags: { greeting: { type: "colour" } } } } };
  assert.match(await refusal({ t, state, documents: [writeDocument(folder, broken)] }), /was refused: .*\n {2}\S*greeting\S*: /);
  assert.match(await refusal({ t, state, port: 70_000 }), /ended with 2: headgate: --port takes 0 to 65535/);
  assert.match(await refusal({ t, state, args: ["--bogus"] }), /ended with 2: headgate: Unknown option '--bogus'/);
});

test("one server per state folder", async (t) => {
  const state = join(temporaryFolder(t), "state");
  await startProcess({ t, state });
  assert.match(await refusal({ t, state }), /the state folder .* is in use by process \d+/);
});
