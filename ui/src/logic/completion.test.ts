import { expect, test } from "vitest";
import { placeAt, type Schema, suggestions } from "./completion";

const TEXT = `apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: web }
spec:
  mode: 
  rules:
  - name: no-shells
    action: Block
    process:
      names: [sh]
      
  - name: etc
    
    file:
      operations: [Re]
`;
const lines = TEXT.split("\n");

const at = (row: number, column: number) => placeAt(lines, row, column);

test("places are found by indentation", () => {
  expect(at(4, 8)).toMatchObject({ path: ["spec", "mode"], value: true });
  expect(at(10, 6)).toEqual({ path: ["spec", "rules", "-", "process"], value: false, siblings: ["names"] });
  expect(at(12, 4)).toEqual({ path: ["spec", "rules", "-"], value: false, siblings: ["name", "file"] });
  expect(at(14, 21)).toMatchObject({ path: ["spec", "rules", "-", "file", "operations"], value: true });
  expect(placeAt(["spec:", "  rules:", "  - "], 2, 4)).toMatchObject({ path: ["spec", "rules", "-"], value: false });
  expect(placeAt([""], 0, 0)).toEqual({ path: [], value: false, siblings: [] });
});

const SCHEMA: Schema = {
  properties: { kind: { enum: ["RuntimePolicy"] }, spec: { $ref: "#/$defs/Spec" } },
  $defs: {
    Spec: { properties: { mode: { $ref: "#/$defs/Mode" }, rules: { type: "array", items: { $ref: "#/$defs/Rule" } } } },
    Mode: { oneOf: [{ const: "Audit", description: "Only report." }, { const: "Enforce" }] },
    Rule: {
      properties: {
        name: { type: "string", description: "Its name." },
        file: { anyOf: [{ $ref: "#/$defs/File" }, { type: "null" }] },
      },
    },
    File: { properties: { operations: { type: "array", items: { enum: ["Read", "Write"] } } } },
  },
};

test("keys that may follow are suggested, without those that are there", () => {
  expect(suggestions(SCHEMA, at(12, 4))).toEqual([]);
  expect(suggestions(SCHEMA, { path: ["spec", "rules", "-"], value: false, siblings: ["name"] })).toEqual(
    [{ label: "file", detail: "", apply: "file:" }]);
  expect(suggestions(SCHEMA, { path: [], value: false, siblings: [] }).map(({ label }) => label)).toEqual(["kind", "spec"]);
});

test("values come from enumerations, of lists and alternatives too", () => {
  expect(suggestions(SCHEMA, at(4, 8)).map(({ label }) => label)).toEqual(["Audit", "Enforce"]);
  expect(suggestions(SCHEMA, at(14, 21)).map(({ label }) => label)).toEqual(["Read", "Write"]);
  expect(suggestions(SCHEMA, { path: ["nowhere"], value: true, siblings: [] })).toEqual([]);
});
