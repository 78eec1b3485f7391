// Where things are, from the package's root folder.
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** An absolute path of something in the package. */
export const inRoot = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The Worker's wasm; the second is built with the deliberate faults of feature `faults`. */
export const WASM = "build/headgate.wasm";
export const FAULTS_WASM = "build/faults/headgate.wasm";
