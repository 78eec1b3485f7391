// Reading bodies within their bounds.
import { call, OPERATION } from "./wasm.mjs";

/**
 * A request's body as text, decompressed, and its size in bytes. A body over the path's bound is
 * not read to its end, or at all when it says its length: it comes back empty with a size that the
 * core refuses.
 */
export async function readBody(request, target) {
  const declared = request.headers.get("content-length");
  const plain = request.headers.get("content-encoding") === null;
  if (request.body === null) return { text: "", size: 0 };
  const limit = Number(call(OPERATION.bodyLimit, target));
  if (declared !== null && Number(declared) > limit) return { text: "", size: Number(declared) };
  return bounded(plain ? request.body : decompressed(request), limit);
}

function decompressed(request) {
  const encoding = request.headers.get("content-encoding");
  return encoding === "gzip" || encoding === "deflate"
    ? request.body.pipeThrough(new DecompressionStream(encoding))
    : request.body;
}

async function bounded(stream, limit) {
  // Bytes that are no text are refused, not mended: somebody's words would be kept changed.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let size = 0;
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { text: text + decoder.decode(), size };
      size += value.byteLength;
      if (size > limit) {
        await reader.cancel();
        return { text: "", size };
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    // Broken compression, a connection cut, no UTF-8: nothing that could be parsed.
    return { text: "\u0000", size };
  }
}
