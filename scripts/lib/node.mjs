// Importing this module first makes a script run on the Node.js that the project
// pins. wrangler and Miniflare need a newer one than many machines have, and the
// registry's package brings it: an older process starts that one in its place,
// hands signals on and ends as it ends.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const OLDEST = 22;
const PINNED = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url));

if (Number.parseInt(process.versions.node, 10) < OLDEST) {
  if (!existsSync(PINNED)) {
    console.error(
      `Node.js ${process.versions.node} is too old (${OLDEST} or newer is needed) and the pinned one is not installed: run \`npm ci\`.`,
    );
    process.exit(1);
  }
  const child = spawn(PINNED, [...process.execArgv, ...process.argv.slice(1)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => child.kill(signal));
  }
  const code = await new Promise((resolve) => {
    child.on("exit", (status) => resolve(status ?? 1));
  });
  process.exit(code);
}
