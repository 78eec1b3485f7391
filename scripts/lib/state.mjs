// The state folder of a local server: what workerd stores, plus the tokens made on
// its first start (mode 0600) and a lock.
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";

export class StateError extends Error {}

/** Running processes: `{ pid, parent, state, command }`; none where there is no `ps`. */
function processes() {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,stat=,args="], { encoding: "utf8", maxBuffer: 2 ** 26 });
  return (stdout ?? "")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .map(([pid, parent, state = "", ...command]) => ({
      pid: Number(pid),
      parent: Number(parent),
      state,
      command: command.join(" "),
    }))
    .filter(({ state }) => !state.startsWith("Z"));
}

const isServer = ({ command }) => /scripts\/(serve|dev)\.mjs/.test(command);
const isRuntime = ({ command }) => /\bworkerd serve\b/.test(command);

/** Writes a file that is whole or absent, and that only its owner reads. */
export function writePrivate(path, text) {
  const unfinished = `${path}.${process.pid}.tmp`;
  writeFileSync(unfinished, text, { mode: 0o600 });
  renameSync(unfinished, path);
}

export class State {
  constructor(folder) {
    this.folder = resolve(folder);
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
  }

  path(name) {
    return join(this.folder, name);
  }

  /**
   * One server per folder. A server that was killed leaves its workerd running, which
   * still writes here: it is ended first.
   */
  async lock() {
    const held = this.readJson("lock.json") ?? {};
    const running = processes();
    if (held.pid !== process.pid && running.some((each) => each.pid === held.pid && isServer(each))) {
      throw new StateError(`the state folder ${this.folder} is in use by process ${held.pid}`);
    }
    if (running.some((each) => each.pid === held.runtime && isRuntime(each))) {
      process.kill(held.runtime, "SIGKILL");
      while (processes().some((each) => each.pid === held.runtime && isRuntime(each))) await setTimeout(20);
    }
    this.writeJson("lock.json", { pid: process.pid });
  }

  /** Notes the workerd that this process has started. */
  noteRuntime() {
    const runtime = processes().find((each) => each.parent === process.pid && isRuntime(each))?.pid;
    this.writeJson("lock.json", { pid: process.pid, runtime });
  }

  unlock() {
    rmSync(this.path("lock.json"), { force: true });
  }

  readJson(name) {
    const path = this.path(name);
    if (!existsSync(path)) return undefined;
    try {
      return JSON.parse(readFileSync(path, "utf8"));
    } catch (error) {
      throw new StateError(`${path} cannot be read: ${error.message}`);
    }
  }

  writeJson(name, value) {
    writePrivate(this.path(name), `${JSON.stringify(value, null, 2)}\n`);
  }

  /** The owner token: the given one, else the folder's own, made once. */
  ownerToken(given) {
    if (given) return given;
    const kept = this.readJson("owner.json");
    if (kept !== undefined) return kept.token;
    const token = `hg_owner_${randomBytes(24).toString("base64url")}`;
    this.writeJson("owner.json", { token });
    return token;
  }
}
