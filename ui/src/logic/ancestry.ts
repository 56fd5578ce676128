// Which process started which, as far as the events of one container tell.
import type { Event } from "../api/types";

export interface Ancestor {
  pid: number;
  executable: string;
  arguments: readonly string[];
  /** Whether the chain ends here because nothing is known of the one before. */
  origin: string | null;
}

/** From the oldest ancestor known to the process that acted. Each event names a process and its parent; processes that
 *  had events themselves link the chain further up. */
export function ancestry(event: Event, related: readonly Event[]): Ancestor[] {
  const process = event.process;
  if (!process) return [];
  const known = new Map<number, NonNullable<Event["process"]>>();
  // Newest first: of several programs that one process ran in turn, the last before this event counts.
  for (const other of related) {
    if (other.process && other.timestamp <= event.timestamp && !known.has(other.process.pid)) {
      known.set(other.process.pid, other.process);
    }
  }
  const chain: Ancestor[] = [
    { pid: process.pid, executable: process.executable, arguments: process.arguments ?? [], origin: process.origin ?? null },
  ];
  const seen = new Set([process.pid]);
  let child = process;
  while (child.parentPid && !seen.has(child.parentPid)) {
    seen.add(child.parentPid);
    const parent = known.get(child.parentPid);
    chain.unshift({
      pid: child.parentPid,
      executable: parent?.executable ?? child.parent ?? "",
      arguments: parent?.arguments ?? [],
      origin: parent?.origin ?? child.origin ?? null,
    });
    if (!parent) break;
    child = parent;
  }
  return chain;
}
