// Two real sites for routes to lead to: node's HTTP server, with a mouth for every fault.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

/** Reads a request's body whole. */
async function bodyOf(request) {
  const chunks = await request.toArray();
  return Buffer.concat(chunks);
}

const FAULTS = {
  /** Sends a head that promises more than comes, then breaks the connection. */
  "/reset": (request, response) => {
    response.writeHead(200, { "content-length": "1000", "content-type": "text/plain" });
    response.write("half of it");
    setTimeout(() => request.socket.resetAndDestroy(), 50);
  },
  /** Breaks the connection before the first byte. */
  "/refuse": (request) => request.socket.resetAndDestroy(),
  /** Never answers. */
  "/hang": () => {},
  "/down": (_, response) => response.writeHead(503).end("down"),
  "/broken": (_, response) => response.writeHead(500).end("broken"),
  /** Hints first. */
  "/early": (request, response) => {
    response.writeEarlyHints({ link: "</style.css>; rel=preload; as=style" });
    FAULTS["/pieces"](request, response);
  },
  /** Answers in pieces, of which nobody knows how many. */
  "/pieces": (_, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    response.write("first, ");
    setTimeout(() => response.end("last"), 20);
  },
};

/**
 * A site of one colour: `origin`, the requests it `saw`, and `faulty`, which makes it show its faults below
 * `/reset`, `/refuse`, `/hang`, `/down`, `/broken`, `/early` and `/pieces`. Pages name their colour; `/reporting` carries the
 * script at `beacon`.
 */
export async function site(t, colour, host = "127.0.0.1") {
  const saw = [];
  const state = { faulty: true };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://site");
    saw.push({ method: request.method, url: request.url, headers: request.headers });
    if (state.faulty && FAULTS[url.pathname]) return FAULTS[url.pathname](request, response);
    if (url.pathname === "/echo") {
      const body = await bodyOf(request);
      const sha256 = createHash("sha256").update(body).digest("hex");
      const { method, headers } = request;
      response.writeHead(200, { "content-type": "application/json" });
      return response.end(JSON.stringify({ colour, method, url: request.url, headers, length: body.length, sha256 }));
    }
    if (url.pathname === "/piped") {
      // What comes goes back as it comes.
      response.writeHead(200, { "content-type": "application/octet-stream" });
      return request.pipe(response);
    }
    if (url.pathname === "/reporting") {
      response.writeHead(200, { "content-type": "text/html", "content-security-policy": `script-src 'self' ${state.beacon}` });
      return response.end(`<!doctype html><body>${colour}<script src="${state.beacon}"></script><script src="/throw.js"></script>`);
    }
    if (url.pathname === "/throw.js") {
      return response.writeHead(200, { "content-type": "text/javascript" }).end("throw new Error('on purpose');");
    }
    if (url.pathname === "/login") return response.writeHead(302, { location: `${state.origin}/home?x=1` }).end();
    if (url.pathname === "/cached") return response.writeHead(200, { "cache-control": "public, max-age=600" }).end(colour);
    if (url.pathname === "/app.js") {
      response.writeHead(200, { "content-type": "text/javascript" });
      return response.end(`document.title = document.body.dataset.colour + " with ${colour}'s script";`);
    }
    response.writeHead(200, { "content-type": "text/html", "set-cookie": [`${colour}=1`, "theme=dark"], "x-colour": colour });
    return response.end(
      request.method === "HEAD" ? undefined : `<!doctype html><title>${colour}</title><body data-colour="${colour}">${colour}<script src="/app.js" defer></script>`,
    );
  });
  server.on("upgrade", (request, socket) => {
    saw.push({ method: "UPGRADE", url: request.url, headers: request.headers });
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept.digest("base64")}\r\n\r\n`,
    );
    // One short text frame, unmasked, as servers send them.
    socket.write(Buffer.concat([Buffer.from([0x81, colour.length]), Buffer.from(colour)]));
    socket.on("data", () => socket.end());
    socket.on("error", () => {});
  });
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("clientError", (_, socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  state.origin = `http://${host}:${server.address().port}`;
  state.saw = saw;
  state.close = () => {
    // Those that became websockets too.
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  };
  t.after(state.close);
  return state;
}
