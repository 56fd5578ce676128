// What a workload did, in words.
import type { Attempt } from "../api/simulation";
import { commandLine } from "./printable";

export function describe(attempt: Attempt): string {
  if ("exec" in attempt) {
    const { path, arguments: words } = attempt.exec;
    return `ran ${words && words.length > 0 ? commandLine([path, ...words.slice(1)]) : commandLine([path])}`;
  }
  if ("file" in attempt) {
    const { path, operation, executable } = attempt.file;
    return `${operation} ${commandLine([path])}${executable ? `, by ${commandLine([executable])}` : ""}`;
  }
  if ("connect" in attempt) {
    const { direction, protocol, address, port } = attempt.connect;
    return `${direction} ${address} port ${port}/${protocol}`;
  }
  if ("syscall" in attempt) return `system call ${commandLine([attempt.syscall.name])}`;
  return `used the capability ${commandLine([attempt.capability.name])}`;
}
