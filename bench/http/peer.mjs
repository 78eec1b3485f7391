// What a peer needs around it to answer OFREP: the same headers read, the same headers written.
import text from "./answers.txt";

const { bulk, single } = JSON.parse(text);
const READ = ["authorization", "if-none-match", "origin", "cookie", "cf-connecting-ip"];
const PATH = "/ofrep/v1/evaluate/flags";

export const ofrep = ({ all, one }) => ({
  async fetch(request) {
    const { headers } = request;
    READ.forEach((name) => headers.get(name));
    const { pathname } = new URL(request.url);
    const { context } = await request.json();
    if (pathname === PATH) return new Response(JSON.stringify({ flags: all(context) }), { headers: bulk.headers });
    return new Response(JSON.stringify(one(pathname.slice(PATH.length + 1), context)), { headers: single.headers });
  },
});
