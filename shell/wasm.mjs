// The wasm instance and the calls into it. Every call is synchronous and of one request, so a
// trap (panic, stack overflow, memory exhausted) fails that request alone: the instance is
// dropped and the next call gets a new one, which reads its caches afresh.
import module from "../build/headgate.wasm";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Numbers of `hg_call`'s operations, as `src/edge/call.rs` has them. */
export const OPERATION = {
  plan: 1,
  directory: 2,
  environment: 3,
  pointer: 4,
  metrics: 5,
  ledger: 6,
  acceptPointer: 7,
  acceptSnapshot: 8,
  acceptAbsence: 9,
  acceptHost: 10,
  takeCounts: 11,
  status: 12,
  bodyLimit: 13,
  acceptFailure: 14,
  acceptCopy: 15,
  stream: 16,
  meetHost: 17,
  returned: 18,
};

/** What the data plane wants next, as `src/edge/mod.rs` has it. */
export const KIND = { reply: 0, wait: 1, host: 2, queue: 3, pass: 4, stream: 5, fetch: 6, travel: 7 };
export const READ = { nothing: 0, pointer: 1, snapshot: 2, newer: 3 };

/** Inputs above this many bytes give their memory back after the call. */
const LARGE = 1 << 20;
/** 32-bit words of a frame. */
const FRAME_WORDS = 22;

/** Heads of answers by number: the same few come again and again. */
const heads = new Map();
const HEADS = 4_000;

let wasm = null;
let bytes = null;
let room = null;
let words = null;
let answer = null;
let database = null;
let asking = null;
let deaths = 0;

/** How many instances of this isolate have ended in a trap since the last call. */
export function takeTraps() {
  const taken = deaths;
  deaths = 0;
  return taken;
}

const host = {
  sql(start, length) {
    answer = encoder.encode(query(decoder.decode(memory().subarray(start, start + length))));
    return answer.length;
  },
  place(which) {
    // Only now: the platform builds `cf` when it is first looked at.
    const { cf } = asking;
    const name = [cf?.country, cf?.regionCode, cf?.continent][which];
    answer = encoder.encode(name ?? "");
    return answer.length;
  },
  header(start, length) {
    const value = asking.headers.get(decoder.decode(memory().subarray(start, start + length)));
    if (value === null) return -1;
    answer = encoder.encode(value);
    return answer.length;
  },
  random(start) {
    crypto.getRandomValues(memory().subarray(start, start + 16));
  },
  take(start) {
    memory().set(answer, start);
    answer = null;
  },
  log(start, length) {
    console.error(decoder.decode(memory().subarray(start, start + length)));
  },
};

function query(statement) {
  try {
    const [text, parameters] = JSON.parse(statement);
    return JSON.stringify({ rows: database.exec(text, ...parameters).raw().toArray() });
  } catch (error) {
    return JSON.stringify({ error: String(error?.message ?? error) });
  }
}

function start() {
  wasm = new WebAssembly.Instance(module, { host }).exports;
  bytes = room = words = null;
  // A new instance numbers its heads anew.
  heads.clear();
  wasm.hg_start();
}

// Views of the memory are kept: making one, or only asking for its buffer, costs more than what is
// done with it. When the memory grows, the views of before become empty.
function memory() {
  if (bytes === null || bytes.length === 0) bytes = new Uint8Array(wasm.memory.buffer);
  return bytes;
}

/** Where the input goes, `length` bytes at least. */
function inputRoom(length) {
  const at = wasm.hg_input(length);
  const kept = room !== null && room.length >= length && room.byteOffset === at && room.length > 0;
  if (!kept) room = new Uint8Array(wasm.memory.buffer, at, length);
  return room;
}

/** The frame at an address. */
function frameAt(at) {
  const kept = words !== null && words.length > 0 && words.byteOffset === at;
  if (!kept) words = new Uint32Array(wasm.memory.buffer, at, FRAME_WORDS);
  return words;
}

/** Puts a text into the input and says how many bytes it has. */
function input(text) {
  if (text.length > LARGE) {
    const encoded = encoder.encode(text);
    const at = wasm.hg_input(encoded.length);
    memory().set(encoded, at);
    return encoded.length;
  }
  // A UTF-16 unit takes three bytes of UTF-8 at most.
  return encoder.encodeInto(text, inputRoom(text.length * 3)).written;
}

function guarded(run) {
  if (wasm === null) start();
  try {
    return run();
  } catch (error) {
    // Whatever was thrown out of wasm left it halfway.
    wasm = null;
    deaths += 1;
    throw error;
  }
}

/** Asks the data plane; what it answers is to be read from `Frame` before the next call. */
export function ask(text, { now, waited, size, rate }, request) {
  asking = request;
  return guarded(() => {
    const length = input(text);
    return new Frame(frameAt(wasm.hg_answer(length, now, waited, size, rate)));
  });
}

/** Asks where a request of a routed host goes; what it answers is to be read from `Frame` before the next call. */
export function travelOf(text, { now, waited }, request) {
  asking = request;
  return guarded(() => {
    const length = input(text);
    return new Frame(frameAt(wasm.hg_travel(length, now, waited)));
  });
}

/** Runs an operation on a text; `sql` is the database of the Durable Object that runs it. */
export function call(operation, text, sql = null) {
  return guarded(() => {
    // Operations do not nest: each ends before the next begins.
    database = sql;
    const length = input(text);
    const words = frameAt(wasm.hg_call(operation, length, Date.now()));
    return decoder.decode(memory().subarray(words[5], words[5] + words[6]));
  });
}

class Frame {
  constructor(words) {
    this.words = words;
  }

  get kind() {
    return this.words[0];
  }

  get status() {
    return this.words[1];
  }

  get read() {
    return this.words[9];
  }

  get environment() {
    return decoder.decode(memory().subarray(this.words[17], this.words[17] + this.words[18]));
  }

  get order() {
    const [, , , , , , , , , , a, b, c, d] = this.words;
    return [a + b * 2 ** 32, c + d * 2 ** 32];
  }

  get subject() {
    return decoder.decode(memory().subarray(this.words[7], this.words[7] + this.words[8]));
  }

  /** The answer to the client. */
  response() {
    const { words } = this;
    const length = words[6];
    const body = length === 0 ? null : memory().slice(words[5], words[5] + length);
    // Ready-made headers are cheaper than an object of them.
    const response = new Response(body, { status: words[1], headers: this.#head() });
    if (words[14] !== 0) response.headers.set("etag", etag(words[16], words[15]));
    if (words[20] !== 0) addHeaders(response.headers, words[19], words[20]);
    return response;
  }

  /** Whether the request's host is to be looked up again. */
  get hostDue() {
    return this.words[21] !== 0;
  }

  #head() {
    const known = heads.get(this.words[2]);
    if (known !== undefined) return known;
    const head = new Headers();
    addHeaders(head, this.words[3], this.words[4]);
    if (heads.size >= HEADS) heads.clear();
    heads.set(this.words[2], head);
    return head;
  }
}

/** Adds the headers that stand in memory: names and values, each with a line's end. */
function addHeaders(headers, start, length) {
  const lines = decoder.decode(memory().subarray(start, start + length)).split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) headers.append(lines[at], lines[at + 1]);
}

const hex = (word) => word.toString(16).padStart(8, "0");
const etag = (high, low) => `"${hex(high)}${hex(low)}"`;
