import { expect, test } from "vitest";
import type { EventRecord } from "../api/types";
import { EventLog } from "./eventLog";

function record(id: number): EventRecord {
  return { seq: id, event: { id: String(id) } } as unknown as EventRecord;
}
const ids = (rows: readonly EventRecord[]) => rows.map(({ event }) => Number(event.id));

test("new events stand in front, older ones behind, each once", () => {
  const log = new EventLog();
  log.append([record(3), record(2)], "c2");
  log.arrive([record(3), record(4), record(5)], false);
  log.append([record(2), record(1)], null);
  expect(ids(log.rows)).toEqual([5, 4, 3, 2, 1]);
  expect(log.next).toBeNull();
});

test("held events wait in order and change no row", () => {
  const log = new EventLog();
  log.append([record(1)], null);
  const before = log.rows;
  log.arrive([record(2)], true);
  log.arrive([record(3), record(4)], true);
  expect(log.rows).toBe(before);
  expect(ids(log.waiting)).toEqual([4, 3, 2]);
  log.release();
  expect(ids(log.rows)).toEqual([4, 3, 2, 1]);
  expect(log.waiting).toEqual([]);
});

test("what was waiting comes before what arrives later", () => {
  const log = new EventLog();
  log.arrive([record(1), record(2)], true);
  log.arrive([record(3)], false);
  expect(ids(log.rows)).toEqual([3, 2, 1]);
});

test("the oldest go when there are too many, and may come again", () => {
  const log = new EventLog(3);
  log.append([record(2), record(1)], null);
  log.arrive([record(3), record(4)], false);
  expect(ids(log.rows)).toEqual([4, 3, 2]);
  expect(log.full).toBe(true);
  log.arrive([record(1)], true);
  expect(ids(log.waiting)).toEqual([1]);
});

test("a hundred thousand events stay in order", () => {
  const log = new EventLog();
  for (let start = 0; start < 120_000; start += 1000) {
    log.arrive(Array.from({ length: 1000 }, (_, index) => record(start + index)), start % 7000 === 0);
  }
  log.release();
  expect(log.rows).toHaveLength(100_000);
  expect(ids(log.rows.slice(0, 2))).toEqual([119_999, 119_998]);
  expect(ids(log.rows).every((id, index, all) => index === 0 || id === (all[index - 1] ?? 0) - 1)).toBe(true);
});
