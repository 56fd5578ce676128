import { expect, test } from "vitest";
import { type EventFilter, fromAddress, toAddress, toQuery, typed, without } from "./eventFilter";

const filter: EventFilter = {
  types: ["ProcessExec", "Drift"], policies: ["no-shells"], severity: "High", text: "sh -c", hours: 24,
};

test("a filter survives the address", () => {
  expect(fromAddress(new URLSearchParams(toAddress(filter).toString()))).toEqual(filter);
  expect(fromAddress(new URLSearchParams(""))).toEqual({});
});

test("nonsense in the address is left out", () => {
  expect(fromAddress(new URLSearchParams("hours=-3&types=,,&unknown=1&severity="))).toEqual({});
});

test("hours become a time, unless a time was given", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  expect(toQuery(filter, now)).toEqual({
    types: ["ProcessExec", "Drift"], policies: ["no-shells"], severity: "High", text: "sh -c", from: "2026-11-20T12:00:00.000Z",
  });
  expect(toQuery({ hours: 1, from: "2026-01-01T00:00:00Z" }, now)).toEqual({ from: "2026-01-01T00:00:00Z" });
});

test("what was typed narrows lists or is searched for", () => {
  expect(typed({}, 'policy:no-shells pod:web-0,web-1 /etc/passwd "two words"')).toEqual({
    policies: ["no-shells"], pods: ["web-0", "web-1"], text: "/etc/passwd two words",
  });
  expect(typed({ text: "old", policies: ["a"] }, "policy:b policy:a")).toEqual({ policies: ["a", "b"] });
  expect(typed({}, "http://192.0.2.1:80")).toEqual({ text: "http://192.0.2.1:80" });
});

test("conditions can be taken away one by one", () => {
  expect(without(filter, "types", "Drift").types).toEqual(["ProcessExec"]);
  expect(without(filter, "policies", "no-shells")).not.toHaveProperty("policies");
  expect(without(filter, "severity")).not.toHaveProperty("severity");
});
