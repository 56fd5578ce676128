// The events that a page holds: newest first, each once, at most so many, with those that came while the reader
// was looking at something else kept apart until they are asked for.
import type { EventRecord } from "../api/types";

export const MOST = 100_000;

export class EventLog {
  /** A new array with each change, so that whoever draws it can compare. */
  rows: readonly EventRecord[] = [];
  /** Came while held, newest first. */
  waiting: readonly EventRecord[] = [];
  /** Older events than the last row may be had from here on; null where there are none. */
  next: string | null = null;

  private readonly known = new Set<string>();
  private readonly most: number;

  constructor(most = MOST) {
    this.most = most;
  }

  /** Older events, a page of the list. */
  append(records: readonly EventRecord[], next: string | null): void {
    this.rows = [...this.rows, ...this.unknown(records)];
    this.next = next;
  }

  /** New events in the order they came. Held, they wait. */
  arrive(records: readonly EventRecord[], hold: boolean): void {
    const fresh = this.unknown(records).reverse();
    if (fresh.length === 0) return;
    this.waiting = [...fresh, ...this.waiting];
    if (hold) {
      this.trimWaiting();
    } else {
      this.release();
    }
  }

  /** Puts in front what has waited. */
  release(): void {
    if (this.waiting.length === 0) return;
    this.rows = [...this.waiting, ...this.rows];
    this.waiting = [];
    if (this.rows.length > this.most) {
      for (const record of this.rows.slice(this.most)) this.known.delete(record.event.id);
      this.rows = this.rows.slice(0, this.most);
    }
  }

  /** No more are taken in at the end: what is older is for a narrower filter. */
  get full(): boolean {
    return this.rows.length >= this.most;
  }

  private unknown(records: readonly EventRecord[]): EventRecord[] {
    return records.filter(({ event }) => !this.known.has(event.id) && this.known.add(event.id));
  }

  /** Whoever is away for long finds the newest; older ones are then a gap that the list fills. */
  private trimWaiting(): void {
    if (this.waiting.length <= this.most) return;
    for (const record of this.waiting.slice(this.most)) this.known.delete(record.event.id);
    this.waiting = this.waiting.slice(0, this.most);
  }
}
