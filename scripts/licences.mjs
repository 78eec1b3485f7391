// Fails when a dependency, of Rust or of npm, has a licence that is not on the list.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { inRoot, ROOT } from "./lib/paths.mjs";

const ALLOWED = new Set([
  "0BSD",
  "Apache-2.0",
  "Apache-2.0 WITH LLVM-exception",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BSL-1.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MIT-0",
  "Unicode-3.0",
  "Unlicense",
  "Zlib",
]);

// Development tools under weaker terms: used here, in no bytes that are deployed.
const TOOLS_ALLOWED = new Map([[/^@img\/sharp-/, "LGPL-3.0-or-later"]]);

// Packages that carry their licence as a file and do not name it.
const UNDECLARED = new Map([
  ["@openfeature/ofrep-core", "Apache-2.0"],
  ["@openfeature/ofrep-provider", "Apache-2.0"],
]);

/** Whether an SPDX expression can be met with allowed licences alone: AND binds tighter than OR. */
function isAllowed(expression, allowed = ALLOWED) {
  const tokens = expression.replaceAll("/", " OR ").match(/\(|\)|[^\s()]+/g) ?? [];
  const take = (word) => tokens[0] === word && tokens.shift() !== undefined;
  const licence = () => {
    if (take("(")) {
      const inner = any();
      return take(")") && inner;
    }
    const name = tokens.shift();
    return allowed.has(take("WITH") ? `${name} WITH ${tokens.shift()}` : name);
  };
  const all = () => {
    let met = licence();
    while (take("AND")) met = licence() && met;
    return met;
  };
  const any = () => {
    let met = all();
    while (take("OR")) met = all() || met;
    return met;
  };
  return any() && tokens.length === 0;
}

function crates() {
  const { stdout, stderr, status } = spawnSync("cargo", ["metadata", "--locked", "--format-version", "1"], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout)
    .packages.filter(({ source }) => source !== null)
    .map(({ name, version, license }) => ({ name, version, licence: license ?? "" }));
}

function npmPackages() {
  const { packages } = JSON.parse(readFileSync(inRoot("package-lock.json"), "utf8"));
  return Object.entries(packages)
    .filter(([path]) => path !== "")
    .map(([path, { version, license }]) => {
      const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
      return { name, version, licence: license ?? UNDECLARED.get(name) ?? "" };
    });
}

const isAllowedTool = ({ name, licence }) =>
  isAllowed(licence) ||
  [...TOOLS_ALLOWED].some(([pattern, more]) => pattern.test(name) && isAllowed(licence, new Set([...ALLOWED, more])));

const rust = crates();
const npm = npmPackages();
const refused = [...rust.filter(({ licence }) => !isAllowed(licence)), ...npm.filter((found) => !isAllowedTool(found))];
for (const { name, version, licence } of refused) {
  console.error(`${name} ${version}: licence \`${licence}\` is not on the list`);
}
console.log(`${rust.length} crates and ${npm.length} npm packages: ${refused.length} with a licence not on the list`);
process.exitCode = refused.length === 0 ? 0 : 1;
