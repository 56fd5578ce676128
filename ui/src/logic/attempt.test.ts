import { expect, test } from "vitest";
import { describe } from "./attempt";

const exec = { user: 0, parents: [] as string[], origin: "Entrypoint" as const, source: "Image" as const };

test("every kind of act has its words", () => {
  expect(describe({ exec: { ...exec, path: "/bin/busybox", arguments: ["sh", "-c", "id; ls"] } })).toBe("ran /bin/busybox -c 'id; ls'");
  expect(describe({ exec: { ...exec, path: "/bin/id" } })).toBe("ran /bin/id");
  expect(describe({ file: { path: "/etc/passwd", operation: "Read", executable: "/bin/cat", user: 0 } })).toBe("Read /etc/passwd, by /bin/cat");
  expect(describe({ connect: { direction: "Egress", protocol: "TCP", address: "192.0.2.1", port: 80 } })).toBe("Egress 192.0.2.1 port 80/TCP");
  expect(describe({ syscall: { name: "ptrace" } })).toBe("system call ptrace");
  expect(describe({ capability: { name: "NET_ADMIN" } })).toBe("used the capability NET_ADMIN");
});

test("names that an attacker chose cannot forge what is read", () => {
  expect(describe({ exec: { ...exec, path: "/tmp/\u202ecod.exe\n" } })).toBe("ran '/tmp/\\u{202e}cod.exe\\n'");
});
