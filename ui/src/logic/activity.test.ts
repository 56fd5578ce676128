import { expect, test } from "vitest";
import { commandOf } from "./activity";

test("a program is shown as it was called", () => {
  expect(commandOf({ exec: { path: "/bin/busybox", arguments: ["cat", "/etc/a b"], user: 0 } })).toBe("cat '/etc/a b'");
  expect(commandOf({ exec: { path: "/bin/sh", arguments: ["sh", "\u202e\n"] } })).toBe("sh '\\u{202e}\\n'");
});

test("what tells no command line has none", () => {
  for (const detail of [null, "exec", { exec: null }, { exec: { path: "/bin/sh" } }, { connect: { port: 80 } }, []]) {
    expect(commandOf(detail)).toBe("");
  }
});
