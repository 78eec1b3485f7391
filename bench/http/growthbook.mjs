// A peer: GrowthBook's JavaScript SDK, its features kept in the isolate, answering as OFREP asks.
import { GrowthBookClient } from "@growthbook/growthbook";
import payload from "./growthbook.txt";
import { ofrep } from "./peer.mjs";

const client = new GrowthBookClient();
const { features } = JSON.parse(payload);
client.initSync({ payload: { features } });
const keys = Object.keys(features);

const REASONS = { defaultValue: "DEFAULT", force: "TARGETING_MATCH", experiment: "SPLIT" };

function one(key, attributes) {
  const { value, source } = client.evalFeature(key, { attributes });
  return { key, value, reason: REASONS[source] ?? "UNKNOWN", variant: String(value), metadata: {} };
}

export default ofrep({ all: (context) => keys.map((key) => one(key, context)), one });
