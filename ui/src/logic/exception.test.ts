import { expect, test } from "vitest";
import { parse } from "yaml";
import type { Event } from "../api/types";
import { exceptionsFor, withException } from "./exception";

const POLICY = `apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: web } # ours
spec:
  mode: Enforce
  rules:
  # nobody needs a shell
  - name: no-shells
    action: Block
    process: { names: [sh, bash] }
  - name: etc
    action: Block
    file:
      paths: [/etc/**]
      operations: [Read]
      except:
        processes: [nginx]
  - name: egress
    action: Block
    network: { direction: Egress }
`;
const rules = (parse(POLICY) as { spec: { rules: { name: string }[] } }).spec.rules;
const rule = (name: string) => rules.find((one) => one.name === name);
const event = (fields: Partial<Event>) => fields as Event;

function except(name: string, fields: Partial<Event>, which = 0) {
  const exception = exceptionsFor(rule(name), event(fields))[which];
  if (!exception) throw new Error("no exception");
  const text = withException(POLICY, name, exception);
  return { text, spec: parse(text ?? "") as { spec: { rules: Record<string, Record<string, unknown>>[] } } };
}

test("a first exception is added, and comments stay", () => {
  const { text, spec } = except("no-shells", { filePath: "/bin/sh" });
  expect(spec.spec.rules[0]?.["process"]).toEqual({ names: ["sh", "bash"], except: { paths: ["/bin/sh"] } });
  expect(text).toContain("# nobody needs a shell");
  expect(text).toContain("# ours");
});

test("a further one goes into the list that is there, once", () => {
  const fields: Partial<Event> = { filePath: "/etc/passwd", process: { executable: "/bin/cat" } as Event["process"] };
  const { text, spec } = except("etc", fields);
  expect(spec.spec.rules[1]?.["file"]?.["except"]).toEqual({ processes: ["nginx", "/bin/cat"] });
  const exception = exceptionsFor(rule("etc"), event(fields))[0];
  expect(exception && text && withException(text, "etc", exception)).toBe(text);
});

test("a file rule can except the path instead", () => {
  const { spec } = except("etc", { filePath: "/etc/passwd", process: { executable: "/bin/cat" } as Event["process"] }, 1);
  expect(spec.spec.rules[1]?.["file"]?.["except"]).toEqual({ processes: ["nginx"], paths: ["/etc/passwd"] });
});

test("a connection excepts one address and port", () => {
  const peer = { direction: "Egress", protocol: "TCP", address: "2001:db8::1", port: 443 } as Event["peer"];
  const { spec } = except("egress", { peer });
  expect(spec.spec.rules[2]?.["network"]?.["except"]).toEqual({ cidrs: ["2001:db8::1/128"], ports: ["443"] });
});

test("an allow-list grows instead", () => {
  const definition = { process: { allowOnly: { paths: ["/usr/sbin/nginx"] } } };
  expect(exceptionsFor(definition, event({ filePath: "/bin/id" }))[0]?.additions).toEqual(
    [{ path: ["process", "allowOnly", "paths"], value: "/bin/id" }]);
});

test("rules without exceptions, unknown rules and broken documents offer none", () => {
  expect(exceptionsFor({ syscalls: ["ptrace"] }, event({ syscall: "ptrace" }))).toEqual([]);
  expect(exceptionsFor({ drift: { fileless: true } }, event({ filePath: "/memfd:payload" }))).toEqual([]);
  const exception = { title: "", additions: [] };
  expect(withException(POLICY, "gone", exception)).toBeNull();
  expect(withException("a: [", "etc", exception)).toBeNull();
});

test("what an attacker named cannot break out of its place", () => {
  const filePath = "/tmp/x]}\n  - name: evil # ";
  const { spec } = except("no-shells", { filePath });
  expect(spec.spec.rules).toHaveLength(3);
  expect(spec.spec.rules[0]?.["process"]?.["except"]).toEqual({ paths: [filePath] });
});
