import { expect, test } from "vitest";
import { commandLine, printable } from "./printable";

test("harmless text stays as it is", () => {
  for (const text of ["", "/usr/bin/größe it's \"q\" \\d+", "漢字 🦀", "<script>alert(1)</script>"]) {
    expect(printable(text)).toBe(text);
  }
});

test("what hides, breaks lines or turns the direction of writing becomes visible", () => {
  expect(printable("a\nb\tc\rd")).toBe("a\\nb\\tc\\rd");
  expect(printable("/tmp/\u202etxt.exe")).toBe("/tmp/\\u{202e}txt.exe");
  expect(printable("ng\u200binx\ufeff\u{e0041}")).toBe("ng\\u{200b}inx\\u{feff}\\u{e0041}");
  expect(printable("\u001b[2J\u009b31m\u0000")).toBe("\\u{1b}[2J\\u{9b}31m\\u{0}");
});

test("a command line can be told apart into its words", () => {
  expect(commandLine(["sh", "-c", "id; echo 'x'\n"])).toBe("sh -c 'id; echo '\\''x'\\''\\n'");
  expect(commandLine(["busybox", ""])).toBe("busybox ''");
});
