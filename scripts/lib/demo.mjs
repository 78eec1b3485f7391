// Two small sites behind one canary route, for `make dev`: half of the visitors see each.
import { once } from "node:events";
import { createServer } from "node:http";

const COLOURS = { blue: "#06c", green: "#0a5" };

function page(colour, host) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${colour}</title>
<body style="font: 1.2rem sans-serif; margin: 4rem; color: white; background: ${COLOURS[colour]}">
<h1>The ${colour} site</h1>
<p>A cookie keeps you here. Open a private window, and you may land on the other one.</p>
<script src="http://${host}/.headgate/beacon.js" defer></script>`;
}

/** A site of one colour; its port is the wanted one, or any when that is taken. */
async function site(colour, wanted, host) {
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page(colour, host));
  });
  server.unref();
  for (const port of [wanted, 0]) {
    server.listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
      return server.address().port;
    } catch (error) {
      if (port === 0) throw error;
    }
  }
}

/** Starts the sites on the ports behind the gateway's; gives the project document that routes them. */
export async function startDemo(port) {
  const host = `demo.localhost:${port}`;
  const [blue, green] = [await site("blue", port && port + 1, host), await site("green", port && port + 2, host)];
  return {
    project: "demo",
    name: "Two sites behind one canary route",
    environments: {
      production: {
        flags: {
          site: {
            description: "Half of the visitors on green.",
            type: "string", variants: { blue: "blue", green: "green" }, off: "blue",
            default: { share: 50, variants: { green: 100 }, else: "blue" },
          },
        },
        routes: {
          site: {
            description: "Visitors are sent to their site.",
            host: "demo.localhost", flag: "site",
            targets: { blue: `http://blue.demo.localhost:${blue}`, green: `http://green.demo.localhost:${green}` },
          },
          proxied: {
            description: "The gateway fetches the site for them.",
            host: "demo.localhost", path: "/proxied/**", flag: "site", mode: "proxy",
            targets: { blue: `http://127.0.0.1:${blue}`, green: `http://127.0.0.1:${green}` },
          },
        },
      },
    },
  };
}
