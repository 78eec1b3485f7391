// A client of server-sent events for the tests: Node's `fetch`, and what the standard says of the text.

/** A stream that is being read: its events, and how it ended. */
class Stream {
  #controller = new AbortController();
  #waiting = [];
  /** `{ id, data, at }` of each event, in order; `at` is `performance.now()`. */
  events = [];
  comments = 0;
  retry;
  ended = false;

  async open(url, headers) {
    this.response = await fetch(url, { headers, signal: this.#controller.signal });
    this.status = this.response.status;
    if (this.status === 200) this.done = this.#read();
    return this;
  }

  async #read() {
    let text = "";
    try {
      for await (const chunk of this.response.body.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          this.#take(text.slice(0, end));
          text = text.slice(end + 2);
        }
      }
    } catch {
      // Cut off, by us or by the other side.
    }
    this.ended = true;
    this.#waiting.forEach((wake) => wake());
  }

  #take(block) {
    const fields = {};
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      if (colon === 0) this.comments += 1;
      else fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
    }
    if (fields.retry !== undefined) this.retry = Number(fields.retry);
    if (fields.data === undefined) return;
    this.events.push({ id: fields.id, data: JSON.parse(fields.data), at: performance.now() });
    this.#waiting.forEach((wake) => wake());
  }

  /** The first event that `wanted` is true for, of those that come within `ms`. */
  async event(wanted = () => true, ms = 3_000) {
    const deadline = performance.now() + ms;
    for (;;) {
      const found = this.events.find(wanted);
      if (found) return found;
      const left = deadline - performance.now();
      if (left <= 0 || this.ended) throw new Error(`no such event; there are ${JSON.stringify(this.events)}, ended: ${this.ended}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => (clearTimeout(timer), resolve()));
      });
      this.#waiting = [];
    }
  }

  close() {
    this.#controller.abort();
    return this.done;
  }
}

/** Opens a stream; `t` closes it. */
export async function listen(t, url, headers = {}) {
  const stream = await new Stream().open(url, headers);
  t?.after(() => stream.close());
  return stream;
}
