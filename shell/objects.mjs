// The Durable Objects: each message is one synchronous call within one SQLite transaction, which
// a refusal or a trap rolls back; what is to be done outside comes back as effects.
import { DurableObject } from "cloudflare:workers";
import { within } from "./patience.mjs";
import { call, OPERATION } from "./wasm.mjs";

/** How long one effect may take, ms: those that follow must not wait behind a hanging one. */
const EFFECT = 2_000;

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** 64 random bytes: the core draws none itself. */
const entropy = () => hex(crypto.getRandomValues(new Uint8Array(64)));

class Refused extends Error {}

class Keeper extends DurableObject {
  /** Runs a message in a transaction and gives what came back of it. */
  step(message) {
    const { storage } = this.ctx;
    let output;
    try {
      storage.transactionSync(() => {
        output = JSON.parse(call(this.operation, `${entropy()}\n${message}`, storage.sql));
        if (!output.commit) throw new Refused();
        if (output.alarm != null) storage.setAlarm(output.alarm);
      });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    return output;
  }

  /** Answers a message; the one method that others call. */
  async call(message) {
    const output = this.step(message);
    await this.perform(output.effects);
    return output.reply;
  }

  /** Performs effects in order, carrying on after a failure; gives the first failure's text. */
  async perform(effects) {
    let failed = null;
    for (const effect of effects) {
      try {
        await within(EFFECT, this.effect(effect));
      } catch (error) {
        failed ??= String(error?.message ?? error);
      }
    }
    return failed;
  }

  async claim({ key, text }) {
    const holder = await this.env.SNAPSHOTS.get(key);
    if (holder === null) await this.env.SNAPSHOTS.put(key, text);
    else if (holder !== text) console.warn(`${key} belongs to ${holder}, not to ${text}`);
  }

  async effect({ put, delete: removed, claim, release, pointer, gauges }) {
    if (put) await this.env.SNAPSHOTS.put(put.key, put.text);
    if (removed) await this.env.SNAPSHOTS.delete(removed.key);
    if (claim) await this.claim(claim);
    if (release && (await this.env.SNAPSHOTS.get(release.key)) === release.text) await this.env.SNAPSHOTS.delete(release.key);
    if (pointer) await this.env.POINTER.getByName(pointer.name).call(pointer.message);
    if (gauges) await this.env.METRICS.getByName("metrics").call(gauges.message);
  }
}

export class DirectoryDo extends Keeper {
  operation = OPERATION.directory;
}

/** An object that only this code talks to: whoever sent the message must not take a refusal for success. */
class Inner extends Keeper {
  async call(message) {
    const output = this.step(message);
    if (!output.commit) throw new Error(output.reply ?? "refused");
    await this.perform(output.effects);
    return output.reply;
  }
}

export class PointerDo extends Inner {
  operation = OPERATION.pointer;
}

export class MetricsDo extends Inner {
  operation = OPERATION.metrics;
}

export class LedgerDo extends Inner {
  operation = OPERATION.ledger;
}

export class EnvironmentDo extends Keeper {
  operation = OPERATION.environment;
  #pumping = false;

  async call(message) {
    const output = this.step(message);
    await this.perform(output.effects);
    // What an alarm was set for is begun at once; the alarm is there for when this object ends.
    if (output.commit && output.alarm != null) this.ctx.waitUntil(this.pump());
    return output.reply;
  }

  alarm() {
    return this.pump();
  }

  /** Publishes what is due. One at a time: the next look finds what was written meanwhile. */
  async pump(message = '"pump"') {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      const { effects, receipt } = this.step(message);
      if (receipt === undefined) return;
      const failed = await this.perform(effects);
      this.step(JSON.stringify({ settle: { receipt, failed } }));
    } finally {
      this.#pumping = false;
    }
  }

  /** Compares the pointer that readers see with the truth, and publishes what is behind. */
  async reconcile(pointer) {
    await this.pump(JSON.stringify({ reconcile: { pointer } }));
  }
}
