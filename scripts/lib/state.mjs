// The state folder of a local server: what workerd stores, plus the tokens made on
// its first start (mode 0600) and a lock.
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

export class StateError extends Error {}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
};

/** Running workerd processes, as `[pid, parent]`. */
function runtimes() {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,comm="], { encoding: "utf8" });
  return (stdout ?? "")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , command]) => command?.endsWith("workerd"))
    .map(([pid, parent]) => [Number(pid), Number(parent)]);
}

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

  /** One server per folder. A server that was killed leaves its workerd running: that one is ended here. */
  async lock() {
    const held = this.readJson("lock.json");
    if (held !== undefined && held.pid !== process.pid && alive(held.pid)) {
      throw new StateError(`the state folder ${this.folder} is in use by process ${held.pid}`);
    }
    const left = runtimes().find(([pid, parent]) => pid === held?.runtime && parent !== held.pid);
    if (left) {
      process.kill(left[0], "SIGKILL");
      for (let tries = 0; alive(left[0]) && tries < 100; tries++) await new Promise((done) => setTimeout(done, 20));
    }
    this.writeJson("lock.json", { pid: process.pid });
  }

  /** Notes the workerd that this process has started. */
  noteRuntime() {
    const [runtime] = runtimes().find(([, parent]) => parent === process.pid) ?? [];
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
