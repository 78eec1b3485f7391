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

  async effect({ put, delete: removed, directory, pointer, gauges }) {
    if (put) await this.env.SNAPSHOTS.put(put.key, put.text);
    if (removed) await this.env.SNAPSHOTS.delete(removed.key);
    if (directory) await this.env.DIRECTORY.getByName("directory").call(directory.message);
    if (pointer) await this.env.POINTER.getByName(pointer.name).call(pointer.message);
    if (gauges) await this.env.METRICS.getByName("metrics").call(gauges.message);
  }
}

export class DirectoryDo extends Keeper {
  operation = OPERATION.directory;

  async call(message) {
    const output = this.step(message);
    const failed = await this.perform(output.effects);
    // An environment whose hostnames did not get into KV tells of them again.
    if (failed !== null && output.reply === null) throw new Error(failed);
    return output.reply;
  }
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

  async call(message) {
    const output = this.step(message);
    if (!output.commit) throw new Error(output.reply ?? "refused");
    // Whoever moves the pointer does not wait for those who listen.
    if (output.receipt !== undefined) this.ctx.waitUntil(this.tell(output));
    return output.reply;
  }

  async tell({ effects, receipt }) {
    const tell = async ({ notice: { name, joined, pointer } }) => {
      try {
        return { name, joined, gone: await within(EFFECT, this.env.STREAM.getByName(name).notice(pointer)) };
      } catch (error) {
        console.warn(`${name} was not told: ${error?.message ?? error}`);
        return null;
      }
    };
    const shards = (await Promise.all(effects.map(tell))).filter((shard) => shard !== null);
    this.step(JSON.stringify({ told: { receipt, shards } }));
  }

  async alarm() {
    const output = this.step('"tell"');
    if (output.receipt !== undefined) await this.tell(output);
  }
}

/** Streams of one token and address in a shard, so that nobody takes all of them: with 16 shards about 4,000. */
const STREAMS = 250;
/** Sockets in a shard; the platform takes 32,768. */
const SOCKETS = 20_000;

/** A shard of an environment's streams. Its sockets outlive its sleep; it is woken to let one in and by a notice. */
export class StreamDo extends Keeper {
  operation = OPERATION.stream;

  /** What the core says to a message; a refusal is an error. */
  ask(message) {
    const { commit, reply } = this.step(JSON.stringify(message));
    if (!commit) throw new Error(reply ?? "refused");
    return reply;
  }

  async fetch(request) {
    const { searchParams } = new URL(request.url);
    const [shard, since, tag] = ["shard", "since", "tag"].map((name) => searchParams.get(name));
    const most = Number(this.env.STREAMS_PER_SHARD ?? STREAMS);
    const full = this.ctx.getWebSockets(tag).length >= most || this.ctx.getWebSockets().length >= SOCKETS;
    if (full) return new Response(null, { status: 429 });
    const [client, server] = Object.values(new WebSocketPair());
    // From here on notices reach it: none is lost while the shard registers.
    this.ctx.acceptWebSocket(server, [tag]);
    try {
      const news = this.ask({ open: { since } }) ?? (await this.join(shard, since));
      if (news !== "") server.send(news);
    } catch (error) {
      server.close(1013, "try again");
      throw error;
    }
    return new Response(null, { status: 101, webSocket: client });
  }

  async join(shard, since) {
    const environment = shard.slice(0, shard.lastIndexOf("/"));
    const pointer = await within(EFFECT, this.env.POINTER.getByName(environment).call(JSON.stringify({ join: { shard } })));
    if (pointer === null) throw new Error("there is no environment");
    return this.ask({ joined: { pointer, since } });
  }

  /** Tells everybody that the pointer has moved; true when nobody is here. */
  notice(pointer) {
    const sockets = this.ctx.getWebSockets();
    const news = this.ask({ notice: { pointer, sockets: sockets.length } });
    if (news) for (const socket of sockets) socket.send(news);
    return news === null;
  }
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

  /** Compares the pointer that readers see, and the hostnames that the directory has, with the truth. */
  async reconcile(pointer, hosts) {
    await this.pump(JSON.stringify({ reconcile: { pointer, hosts } }));
  }
}
