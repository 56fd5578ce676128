import { expect, test } from "vitest";
import { NEW_POLICY, type Path, PolicyForm } from "./policyForm";

function form(text: string): PolicyForm {
  const read = PolicyForm.read(text);
  if (!read) throw new Error(`no form of ${text}`);
  return read;
}

test("a form shows what the text says", () => {
  const read = form(NEW_POLICY);
  expect(read.kind).toBe("RuntimePolicy");
  expect(read.labels(["spec", "labelSelector", "matchLabels"])).toEqual(["app=my-app"]);
  expect(read.rules()).toEqual([{ name: "no-shells", severity: "High", action: "Block", matcher: "process" }]);
  expect(read.list(["spec", "rules", 0, "process", "names"])).toContain("zsh");
});

test("writing what is there changes nothing", () => {
  const read = form(NEW_POLICY);
  expect(read.with(["spec", "mode"], "Audit").replace(/ #.*/g, "")).toBe(NEW_POLICY.replace(/ #.*/g, ""));
});

test("a change leaves comments and everything else alone", () => {
  const changed = form(NEW_POLICY).with(["spec", "rules", 0, "process", "names"], ["sh"]);
  expect(changed).toBe(NEW_POLICY.replace("[ sh, bash, dash, ash, zsh ]", "[ sh ]"));
});

test("fields deep down make and take away what is around them", () => {
  const path: Path = ["spec", "rules", 0, "process", "except", "paths"];
  const added = form(NEW_POLICY).with(path, ["/bin/sh"]);
  expect(form(added).list(path)).toEqual(["/bin/sh"]);
  expect(form(added).with(path, [])).toBe(NEW_POLICY);
});

test("a selector that becomes empty goes as a whole", () => {
  expect(form(NEW_POLICY).with(["spec", "labelSelector", "matchLabels"], {})).not.toContain("labelSelector");
});

test("rules come, change their kind and go", () => {
  const two = form(NEW_POLICY).withNewRule();
  expect(form(two).rules().map(({ name }) => name)).toEqual(["no-shells", "rule-2"]);
  const file = form(two).withMatcher(1, "file");
  expect(form(file).rules()[1]?.matcher).toBe("file");
  expect(form(file).list(["spec", "rules", 1, "process", "names"])).toEqual([]);
  expect(form(file).withoutRule(1)).toBe(NEW_POLICY);
});

test("what is no mapping has no form", () => {
  for (const text of ["", "a: [", "- a", "just text", "a: 1\na: 2"]) expect(PolicyForm.read(text)).toBeNull();
});

test("strange shapes do not break the form", () => {
  const odd = form("kind: [1]\nspec:\n  rules: {}\n  mode: { a: b }\n");
  expect([odd.kind, odd.text(["spec", "mode"]), odd.rules(), odd.list(["spec", "mode"])]).toEqual(["", "", [], []]);
});
