// The real entry with its storage replaced by one pointer and one snapshot.
import worker from "../../entry.mjs";
import pointer from "./pointer.txt";
import snapshot from "./snapshot.txt";

export { DirectoryDo, EnvironmentDo, LedgerDo, MetricsDo, PointerDo, StreamDo } from "../../entry.mjs";

const object = (answer) => ({ getByName: () => ({ call: async () => answer }) });
const limit = { limit: async () => ({ success: true }) };

const env = {
  POINTER: object(pointer),
  METRICS: object("null"),
  SNAPSHOTS: { get: async (key) => (key.startsWith("snapshot/") ? snapshot : null) },
  RATE_CLIENT: limit,
  RATE_SERVER: limit,
  RATE_DEPLOYMENT: limit,
};

export default { fetch: (request, _, ctx) => worker.fetch(request, env, ctx) };
