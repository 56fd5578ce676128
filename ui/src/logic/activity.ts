// How a program was called, of what a workload was seen to do.
import { commandLine } from "./printable";

/** The command line, where the detail of an activity tells one. */
export function commandOf(detail: unknown): string {
  const words = field(field(detail, "exec"), "arguments");
  return Array.isArray(words) ? commandLine(words.filter((word) => typeof word === "string")) : "";
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
