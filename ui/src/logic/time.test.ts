import { expect, test } from "vitest";
import { ago, bytes, count, duration, milliseconds, utcTime } from "./time";

test("durations name their largest unit", () => {
  expect([0, 59, 60, 3599, 3600, 86_400, 1_000_000].map(duration)).toEqual(
    ["0 s", "59 s", "1 min", "59 min", "1 h", "1 d", "11 d"]);
  expect(milliseconds(12.4)).toBe("12 ms");
  expect(milliseconds(4200)).toBe("4 s");
});

test("distances in time say which way they go", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  expect(ago("2026-11-21T11:59:58Z", now)).toBe("just now");
  expect(ago("2026-11-21T11:30:00Z", now)).toBe("30 min ago");
  expect(ago("2026-11-23T12:00:00Z", now)).toBe("in 2 d");
});

test("UTC is written out, and what is no time stays as it is", () => {
  expect(utcTime("2023-10-27T10:30:00.123456789Z")).toBe("2023-10-27 10:30:00 UTC");
  expect(utcTime("yesterday")).toBe("yesterday");
});

test("sizes and counts", () => {
  expect([0, 1023, 1024, 1_500_000, 200 * 1024 * 1024].map(bytes)).toEqual(
    ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "200 MiB"]);
  expect([7, 1284, 12_900, 3_400_000].map(count)).toEqual(["7", "1,284", "12.9 k", "3.4 M"]);
});
