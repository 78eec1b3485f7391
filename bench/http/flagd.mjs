// A peer: flagd's JavaScript evaluator, its flags kept in the isolate, answering as OFREP asks.
import { FlagdCore } from "@openfeature/flagd-core";
import configuration from "./flagd.txt";
import { ofrep } from "./peer.mjs";

const core = new FlagdCore();
core.setConfigurations(configuration);

const one = ({ flagKey, value, reason, variant, flagMetadata }) => ({ key: flagKey, value, reason, variant, metadata: flagMetadata });
const TYPES = new Map([...core.getFlags()].map(([key, flag]) => [key, typeof [...flag.variants.values()][0]]));

export default ofrep({
  all: (context) => core.resolveAll(context).map(one),
  one: (key, context) => one({ flagKey: key, ...core.resolve(TYPES.get(key), key, undefined, context) }),
});
