// Load over keep-alive connections with as little of its own in the way as possible: requests are
// bytes made beforehand, answers are read no further than to find where they end.
import { connect } from "node:net";

const ADDRESS = "10.000.000.000";

/** A request's bytes; each time it is sent it comes from another address, unless `visitors` is one. */
export function request(method, path, headers, body = "", visitors = Infinity) {
  const lines = Object.entries({ host: "localhost", ...headers, "cf-connecting-ip": ADDRESS }).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = method === "GET" ? "" : `content-length: ${Buffer.byteLength(body)}\r\n`;
  const bytes = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join("")}${length}\r\n${body}`);
  return { bytes, address: visitors === 1 ? -1 : bytes.indexOf(ADDRESS) + 3 };
}

let visitor = 0;

function readdress({ bytes, address }) {
  if (address === -1) return;
  visitor = (visitor + 1) % 1e9;
  let rest = visitor;
  for (const place of [8, 4, 0]) {
    bytes.write(String(rest % 250).padStart(3, "0"), address + place, "latin1");
    rest = Math.floor(rest / 250);
  }
}

/** The length of the answer at the start of `bytes`, head and body; 0 while it is not all there. */
function answerLength(bytes) {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) return 0;
  const head = bytes.latin1Slice(0, end).toLowerCase();
  const length = /content-length: (\d+)/.exec(head);
  if (length === null && !head.startsWith("http/1.1 304")) throw new Error(`an answer without a length:\n${head}`);
  const whole = end + 4 + Number(length?.[1] ?? 0);
  return bytes.length < whole ? 0 : whole;
}

class Connection {
  #socket;
  #bytes = Buffer.alloc(0);
  #answered;
  #failed;

  static async open(port) {
    const connection = new Connection();
    connection.#socket = connect(port, "127.0.0.1");
    connection.#socket.setNoDelay(true);
    await new Promise((resolve, reject) => connection.#socket.once("connect", resolve).once("error", reject));
    connection.#socket.on("data", (data) => connection.#take(data));
    connection.#socket.on("error", (error) => connection.#failed?.(error));
    connection.#socket.on("close", () => connection.#failed?.(new Error("the connection was closed")));
    return connection;
  }

  /** Servers close connections that have been idle for some seconds. */
  get alive() {
    return this.#socket.readyState === "open";
  }

  #take(data) {
    this.#bytes = this.#bytes.length === 0 ? data : Buffer.concat([this.#bytes, data]);
    const length = answerLength(this.#bytes);
    if (length === 0) return;
    const answer = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    this.#answered(answer);
  }

  send(bytes) {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(bytes);
    });
  }

  close() {
    this.#failed = undefined;
    this.#socket.destroy();
  }
}

const statusOf = (answer) => Number(answer.latin1Slice(9, 12));

/** Connections to one server. */
export class Load {
  #port;
  #connections;

  static async open(port, connections = 8) {
    const load = new Load();
    load.#port = port;
    load.#connections = await Promise.all(Array.from({ length: connections }, () => Connection.open(port)));
    return load;
  }

  /** Sends a request `count` times, one at a time on each connection; every answer must have the status. */
  async run(message, count, status) {
    const revive = (connection) => (connection.alive ? connection : Connection.open(this.#port));
    this.#connections = await Promise.all(this.#connections.map(revive));
    let left = count;
    const work = async (connection) => {
      while (left > 0) {
        left -= 1;
        readdress(message);
        const found = statusOf(await connection.send(message.bytes));
        if (found !== status) throw new Error(`status ${found}, not ${status}`);
      }
    };
    await Promise.all(this.#connections.map(work));
  }

  close() {
    for (const connection of this.#connections) connection.close();
  }
}

/** Tries until a connection is accepted. */
export async function whenListening(port, ms = 20_000) {
  const deadline = performance.now() + ms;
  for (;;) {
    try {
      return (await Connection.open(port)).close();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** One request on a connection of its own: `{ status, headers, body }`. */
export async function once(port, { bytes }) {
  const connection = await Connection.open(port);
  const answer = await connection.send(bytes);
  connection.close();
  const end = answer.indexOf("\r\n\r\n");
  const [, ...lines] = answer.latin1Slice(0, end).split("\r\n");
  const headers = lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]);
  return { status: statusOf(answer), headers: Object.fromEntries(headers), body: answer.subarray(end + 4).toString() };
}
