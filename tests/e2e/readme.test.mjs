// What README.md tells people to type is typed here, as it stands there: only the address and what
// it writes as `...` are put in, from where it says that they are to be found.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { inRoot, ROOT } from "../../scripts/lib/paths.mjs";
import { openPage } from "./browser.mjs";
import { temporaryFolder, until } from "./harness.mjs";

const run = promisify(execFile);
const text = (path) => readFileSync(inRoot(path), "utf8");
const README = text("README.md");
const ADDRESS = "http://127.0.0.1:8787";

/** The code blocks of a language that have this in them. */
function blocks(language, what) {
  const found = Array.from(README.matchAll(/^```(\w+)\n(.*?)^```$/gms), ([, kind, code]) => ({ kind, code }));
  return found.filter(({ kind, code }) => kind === language && code.includes(what)).map(({ code }) => code);
}

/**
 * The commands of a block, each with the answer that stands below it as a comment: one begins where
 * a line begins with a word, and what is indented or closes a quotation belongs to it.
 */
function commands(block) {
  const parts = block.split(/^(?=[a-z#])/m).map((part) => part.trim());
  const answer = (next = "") => (next.startsWith("# {") ? JSON.parse(next.slice(2)) : null);
  return parts.flatMap((part, at) => (part.startsWith("#") ? [] : [{ command: part, answer: answer(parts[at + 1]) }]));
}

/** The gateway of `make dev`: what it printed, and a shell that knows what was exported. */
let printed = "";
let exported = {};

before(async (t) => {
  const script = "scripts/dev.mjs";
  const recipe = `\t@exec node ${script} --port $(PORT) --state $(STATE)\n`;
  assert.ok(text("Makefile").includes(recipe), "what `make dev` starts");
  const args = [script, "--port", "0", "--state", join(temporaryFolder(t), "state")];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
  });
  child.stdout.on("data", (data) => (printed += data));
  await until(() => printed.includes("Ctrl-C ends it"), 60_000);
});

const line = (name) => printed.match(new RegExp(`^ *${name} +(\\S+)`, "m"))[1];

/** Runs a command in a shell with all that was exported before; gives its output, as JSON where it is. */
async function type(command) {
  const script = `${command}\nstatus=$?; printf '\\n%s\\n' =====; env -0; exit $status`;
  const { stdout } = await run("bash", ["-c", script], { env: { ...process.env, ...exported } });
  const [output, environment] = stdout.split("\n=====\n");
  for (const [, name, value] of environment.matchAll(/(?<=^|\0)(URL|OWNER|TOKEN|FLAGS)=([^\0]*)\0/g)) exported[name] = value;
  return output === "" ? null : JSON.parse(output);
}

test("the flag and the canary of the first five minutes, and what the web page makes of it", async (t) => {
  const url = printed.match(/Headgate is ready at (\S+)/)[1];
  let answered;
  const given = () => ({ OWNER: line("owner"), TOKEN: answered?.token });
  const list = blocks("sh", "curl -s").flatMap(commands);
  assert.ok(list.length >= 10, `${list.length} commands`);
  for (const { command, answer } of list) {
    const typed = command.replace(ADDRESS, url).replace(/(\w+)=\.\.\./g, (_, name) => `${name}=${given()[name]}`);
    // What was changed is everywhere within seconds: who is told otherwise asks again.
    const found = await until(async () => {
      const output = await type(typed);
      if (answer !== null) assert.deepEqual(output, answer, command);
      return { output };
    }, answer === null ? 0 : 10_000, 200);
    answered = found.output;
    if (command.startsWith("curl")) assert.equal(answered.status, undefined, `${command}\n${JSON.stringify(answered)}`);
  }
  assert.equal(list.filter(({ answer }) => answer !== null).length, 4, "answers that README shows");

  const [snippet] = blocks("js", "OpenFeature");
  const [, last, claimed] = snippet.match(/^(OpenFeature\.getClient\(\).*); \/\/ (\w+)$/m);
  const source = snippet
    .replace(ADDRESS, url)
    .replace('"..."', JSON.stringify(exported.TOKEN))
    .replace(last, `globalThis.answer = ${last}`);
  const lifted = () => type(list.find(({ answer }) => answer !== null).command);
  await until(async () => (await lifted()).reason === "TARGETING_MATCH", 10_000, 200);
  const page = await openPage(t, source);
  await page.waitForFunction("'answer' in globalThis");
  assert.equal(String(await page.evaluate("globalThis.answer")), claimed);
});

test("`make dev` prints URLs, tokens and three lines to try, which work", async () => {
  for (const name of ["links", "health", "API"]) assert.equal((await fetch(line(name))).status, 200, name);
  for (const name of ["client", "server", "admin"]) assert.match(line(name), /^hg\w?_/);
  const lines = printed.match(/^ +curl .*$/gm);
  assert.equal(lines.length, 3);
  const [one, all, flip] = [await type(lines[0]), await type(lines[1]), await type(lines[2])];
  assert.equal(one.value, true);
  assert.deepEqual(all.flags.find(({ key }) => key === one.key), one);
  assert.deepEqual([flip.value, flip.reason], [false, "DISABLED"]);
});

test("what README names is there", async () => {
  const targets = new Set(Array.from(text("Makefile").matchAll(/^([a-z][\w-]*):/gm), ([, name]) => name));
  const makes = Array.from(README.matchAll(/(?:`|^)make ([a-z][\w-]*)/gm), ([, name]) => name);
  assert.ok(makes.length >= 5);
  for (const name of makes) assert.ok(targets.has(name), `make ${name}`);

  const links = Array.from(README.matchAll(/\]\(([^)#:]+)\)/g), ([, path]) => path);
  const files = Array.from(README.matchAll(/`(\w[\w./-]*\.(?:toml|json|mjs|md))`/g), ([, path]) => path);
  assert.ok(links.length >= 8 && files.length >= 1);
  for (const path of [...links, ...files]) assert.ok(existsSync(inRoot(path)), path);

  const [, options] = README.match(/`npm start -- (--port [^`]*)`/);
  const { stdout } = await run("npm", ["--silent", "start", "--", "--help"], { cwd: ROOT });
  for (const [option] of options.matchAll(/--[\w-]+/g)) assert.ok(stdout.includes(`  ${option} `), option);

  const wrangler = text("wrangler.toml");
  const [deploy] = blocks("sh", "wrangler deploy");
  for (const [, queue] of deploy.matchAll(/queues create (\S+)/g)) assert.ok(wrangler.includes(`"${queue}"`), queue);
  for (const [, name] of deploy.matchAll(/--env (\S+)/g)) assert.ok(wrangler.includes(`\n[env.${name}]\n`), name);
  assert.ok(wrangler.includes(`"${deploy.match(/https:\/\/([\w-]+)\.<account>/)[1]}"`), "the Worker's name");
  const shell = readdirSync(inRoot("shell")).map((name) => text(`shell/${name}`)).join("\n");
  const variables = README.slice(README.indexOf("## Deploy")).match(/\b[A-Z]+_[A-Z]+\b/g);
  assert.ok(variables.length >= 2);
  for (const name of variables) assert.ok(shell.includes(`env.${name}`), `${name} is read`);
});
