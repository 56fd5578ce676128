import { expect, test } from "vitest";
import { readSelector, writeSelector } from "./labelSelector";

test("selectors are read as kubectl reads them", () => {
  expect(readSelector("app=web, tier in (front, back),env!=dev,!beta,app.kubernetes.io/name")).toEqual({ selector: {
    matchLabels: { app: "web" },
    matchExpressions: [
      { key: "tier", operator: "In", values: ["front", "back"] },
      { key: "env", operator: "NotIn", values: ["dev"] },
      { key: "beta", operator: "DoesNotExist" },
      { key: "app.kubernetes.io/name", operator: "Exists" },
    ],
  } });
  expect(readSelector("app==web")).toEqual({ selector: { matchLabels: { app: "web" } } });
  expect(readSelector("app=")).toEqual({ selector: { matchLabels: { app: "" } } });
  expect(readSelector(" , ")).toEqual({ selector: null });
});

test("what is no selector is named", () => {
  for (const wrong of ["a b", "app=web app", "tier in ()", "tier in (a", "=web", "app=w eb", "-a=b"]) {
    expect(readSelector(`ok=1,${wrong}`)).toEqual({ wrong });
  }
  expect(readSelector("app=web,app=api")).toEqual({ wrong: "app=api" });
});

test("what was written is read back", () => {
  for (const text of ["", "app=web", "app=web,tier in (front, back),tier notin (a, b),env!=dev,beta,!gamma"]) {
    const read = readSelector(text);
    expect("selector" in read && writeSelector(read.selector)).toBe(text);
  }
});
