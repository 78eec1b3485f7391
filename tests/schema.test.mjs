// The schema judges documents as the compiler does: what the compiler takes validates, what it
// refuses is refused wherever a schema can express it. A case says `"schema": false` where only
// the compiler can see the fault, and then the schema must let it pass, so that the mark is true.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";
import Ajv2020 from "ajv/dist/2020.js";

const root = new URL("../", import.meta.url);
const read = (path) => JSON.parse(readFileSync(new URL(path, root), "utf8"));
const list = (path) => readdirSync(new URL(path, root)).sort();

const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false });
// What editors understand beyond the standard.
ajv.addVocabulary(["defaultSnippets", "patternErrorMessage"]);
ajv.addSchema(read("schema/project.schema.json"), "project");

const validator = (of) => {
  const validate = ajv.getSchema(of === "project" ? "project" : `project#/$defs/${of}`);
  assert.ok(validate, `the schema describes a ${of}`);
  return (document) => (validate(document) ? [] : validate.errors);
};

describe("the schema and the compiler agree", () => {
  const folder = "tests/conformance/documents/";
  const counts = { good: 0, bad: 0 };
  for (const name of list(folder)) {
    const { of, cases } = read(folder + name);
    for (const one of cases) {
      const good = one.problems.length === 0;
      counts[good ? "good" : "bad"] += 1;
      test(`${name}: ${one.name}`, () => {
        assert.ok("document" in one !== "text" in one, "a case has a document or a text");
        const document = "text" in one ? JSON.parse(one.text) : one.document;
        const errors = validator(of)(document);
        if (good || one.schema === false) assert.deepEqual(errors, []);
        else assert.notDeepEqual(errors, [], "the schema lets it pass");
      });
    }
  }
  test("there are enough cases", () => {
    assert.ok(counts.good >= 40 && counts.bad >= 80, JSON.stringify(counts));
  });
});

describe("every example validates", () => {
  const names = list("examples/");
  for (const name of names) {
    test(name, () => assert.deepEqual(validator("project")(read(`examples/${name}/project.json`)), []));
  }
  test("there are examples", () => assert.ok(names.length >= 5, String(names)));
});

// An editor shows titles and descriptions, and offers examples, snippets and defaults: they must be good themselves.
describe("the schema helps an editor", () => {
  const schema = read("schema/project.schema.json");
  const seen = [];
  const visit = (node, path) => {
    if (node === null || typeof node !== "object") return;
    seen.push([path, node]);
    const maps = ["properties", "$defs"];
    for (const key of maps) for (const [name, inner] of Object.entries(node[key] ?? {})) visit(inner, `${path}/${key}/${name}`);
    for (const key of ["items", "additionalProperties", "propertyNames"]) visit(node[key], `${path}/${key}`);
  };
  visit(schema, "#");

  test("every field has a title and a description", () => {
    const fields = seen.filter(([path]) => path.split("/").at(-2) === "properties");
    assert.ok(fields.length >= 60, `${fields.length} fields`);
    for (const [path, node] of fields) {
      const target = node.$ref ? schema.$defs[node.$ref.split("/").at(-1)] : {};
      assert.ok(node.title ?? target.title, `${path} has a title`);
      assert.ok(node.description ?? target.description, `${path} has a description`);
    }
  });

  test("every example and default is what it is an example of", () => {
    let count = 0;
    for (const [path, node] of seen) {
      const pointer = path.replace(/^#/, "");
      for (const value of [...(node.examples ?? []), ...("default" in node ? [node.default] : [])]) {
        const validate = ajv.getSchema(`project#${pointer}`);
        assert.ok(validate(value), `${path}: ${JSON.stringify(value)}: ${ajv.errorsText(validate.errors)}`);
        count += 1;
      }
    }
    assert.ok(count >= 50, `${count} examples`);
  });

  test("every snippet without blanks is valid", () => {
    const fill = (node) =>
      JSON.parse(
        JSON.stringify(node)
          .replace(/"\^\$\{\d+\|([^,}]*),[^}]*\}"/g, "$1")
          .replace(/"\^\$\{\d+:([^}]*)\}"/g, "$1")
          .replace(/\$\{\d+:([^}]*)\}/g, "$1")
          .replace(/\$\d+/g, "x"),
      );
    const snippets = seen.flatMap(([path, node]) => (node.defaultSnippets ?? []).map((one) => [path, one]));
    assert.ok(snippets.length >= 10, `${snippets.length} snippets`);
    for (const [path, { label, body }] of snippets) {
      if (JSON.stringify(body).match(/\["\$1"\]|"\$1":/)) continue;
      const validate = ajv.getSchema(`project${path}`);
      assert.ok(validate(fill(body)), `${path}, ${label}: ${ajv.errorsText(validate.errors)}`);
    }
  });
});
