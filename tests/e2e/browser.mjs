// Web pages in Chromium, from another origin than the gateway's.
import { once } from "node:events";
import { createServer } from "node:http";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { inRoot } from "../../scripts/lib/paths.mjs";

const HTML = '<!doctype html><script type="module" src="/page.js"></script>';
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Opens a page that runs a module's `source`, bundled as a product would; it closes with the test `t`. */
export async function openPage(t, source) {
  const bundled = await build({
    stdin: { contents: source, resolveDir: inRoot(".") },
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  const server = createServer((request, response) => {
    const script = request.url === "/page.js";
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    response.end(script ? bundled.outputFiles[0].text : HTML);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: QUIET });
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  return page;
}
