import { expect, test } from "vitest";
import type { Event } from "../api/types";
import { ancestry } from "./ancestry";

function event(time: number, pid: number, executable: string, parentPid: number, parent: string): Event {
  return {
    timestamp: new Date(time * 1000).toISOString(), id: `${time}-${pid}`,
    process: { pid, executable, arguments: [executable], parent, parentPid, uid: 0, origin: "ExecSession" },
  } as unknown as Event;
}

test("one event names a process and its parent", () => {
  const chain = ancestry(event(1, 20, "/bin/cat", 10, "/bin/sh"), []);
  expect(chain.map(({ pid, executable }) => [pid, executable])).toEqual([[10, "/bin/sh"], [20, "/bin/cat"]]);
});

test("events of ancestors link the chain further up", () => {
  const chain = ancestry(event(9, 30, "/bin/id", 20, "/bin/sh"), [
    event(8, 20, "/bin/sh", 10, "/usr/sbin/nginx"),
    event(7, 10, "/usr/sbin/nginx", 1, "/sbin/init"),
  ]);
  expect(chain.map(({ executable }) => executable)).toEqual(["/sbin/init", "/usr/sbin/nginx", "/bin/sh", "/bin/id"]);
});

test("later events and circles do not mislead", () => {
  const later = ancestry(event(1, 30, "/bin/id", 20, "/bin/sh"), [event(5, 20, "/bin/other", 9, "/x")]);
  expect(later.map(({ executable }) => executable)).toEqual(["/bin/sh", "/bin/id"]);
  const circle = ancestry(event(9, 30, "/a", 20, "/b"), [event(1, 20, "/b", 30, "/a")]);
  expect(circle.map(({ pid }) => pid)).toEqual([20, 30]);
});

test("an event without a process has no ancestry", () => {
  expect(ancestry({ timestamp: "", id: "x" } as unknown as Event, [])).toEqual([]);
});
