import { expect, test } from "vitest";
import { parseDocument } from "yaml";
import { rewrite } from "./rewrite";

const TEXT = `# Ours
a: [x,   y]          # as we like it
b: {c:  1}

d: 'quoted'   # too
`;

test("only the line that changed is written anew", () => {
  const after = parseDocument(TEXT);
  after.setIn(["b", "c"], 2);
  expect(rewrite(TEXT, parseDocument(TEXT), after)).toBe(TEXT.replace("{c:  1}", "{ c: 2 }"));
});

test("lines come and go", () => {
  const more = parseDocument(TEXT);
  more.set("e", "new");
  expect(rewrite(TEXT, parseDocument(TEXT), more)).toBe(`${TEXT}e: new\n`);
  const fewer = parseDocument(TEXT);
  fewer.delete("d");
  expect(rewrite(TEXT, parseDocument(TEXT), fewer)).toContain("a: [x,   y]          # as we like it\nb: {c:  1}\n");
});

test("a document that cannot be followed line by line is written whole", () => {
  const text = "a: [x,\n  y]\n";
  const after = parseDocument(text);
  after.set("b", 1);
  expect(rewrite(text, parseDocument(text), after)).toBe("a: [ x, y ]\nb: 1\n");
});
