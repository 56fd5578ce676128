// Which events are shown: kept in the address, so that a view can be sent to somebody else.

import type { components } from "../api/schema";

export const EVENT_TYPES: readonly components["schemas"]["EventType"][] = ["ProcessExec", "FileAccess", "NetworkConnection", "Syscall",
  "PrivilegedOperation", "Drift", "FileIntegrity", "AnomalousBehavior", "Admission", "ImageScan", "Compliance", "Audit", "System"];
export const EVENT_ACTIONS: readonly components["schemas"]["EventAction"][] = ["Blocked", "Killed", "PodKilled", "Quarantined", "Alerted",
  "WouldBlock", "WouldKill", "WouldKillPod", "WouldQuarantine", "WouldAlert"];

/** Parameters that are lists, by their name in the API. */
export const LISTS = ["types", "actions", "namespaces", "pods", "containers", "policies", "rules", "nodes"] as const;
export type ListName = (typeof LISTS)[number];

/** What a token of the search box may start with, and the list that it means. */
const WORDS: Record<string, ListName> = {
  type: "types", action: "actions", namespace: "namespaces", pod: "pods", container: "containers",
  policy: "policies", rule: "rules", node: "nodes",
};

export type EventFilter = { [Name in ListName]?: string[] } & {
  severity?: string;
  text?: string;
  enforcer?: string;
  /** How far back, in hours; `from` and `to` are exact times instead. */
  hours?: number;
  from?: string;
  to?: string;
};

export function fromAddress(parameters: URLSearchParams): EventFilter {
  const filter: EventFilter = {};
  for (const name of LISTS) {
    const values = parameters.getAll(name).flatMap((value) => value.split(",")).filter((value) => value !== "");
    if (values.length > 0) filter[name] = values;
  }
  for (const name of ["severity", "text", "enforcer", "from", "to"] as const) {
    const value = parameters.get(name);
    if (value) filter[name] = value;
  }
  const hours = Number(parameters.get("hours"));
  if (Number.isFinite(hours) && hours > 0) filter.hours = hours;
  return filter;
}

export function toAddress(filter: EventFilter): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const name of LISTS) {
    const values = filter[name];
    if (values && values.length > 0) parameters.set(name, values.join(","));
  }
  for (const name of ["severity", "text", "enforcer", "from", "to"] as const) {
    const value = filter[name];
    if (value) parameters.set(name, value);
  }
  if (filter.hours) parameters.set("hours", String(filter.hours));
  return parameters;
}

/** The API's parameters: a distance in hours becomes the time it means now. */
export function toQuery(filter: EventFilter, now: number): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(filter)) {
    if (name === "hours" || value === undefined || value === "") continue;
    query[name] = value as string | string[];
  }
  if (filter.hours && !filter.from) query["from"] = new Date(now - filter.hours * 3_600_000).toISOString();
  return query;
}

/** What was typed: `policy:no-shells "two words" pod:web-0` narrows the lists; the rest is searched for. */
export function typed(filter: EventFilter, input: string): EventFilter {
  const next: EventFilter = { ...filter };
  const words: string[] = [];
  for (const token of input.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? []) {
    const [, key, value] = /^(\w+):(.+)$/.exec(token) ?? [];
    const list = key && WORDS[key];
    const plain = (value ?? token).replaceAll('"', "");
    if (list) next[list] = [...new Set([...(next[list] ?? []), ...plain.split(",")])];
    else if (key === "severity") next.severity = plain;
    else words.push(token.replaceAll('"', ""));
  }
  const text = words.join(" ");
  if (text) next.text = text;
  else delete next.text;
  return next;
}

export function without(filter: EventFilter, name: keyof EventFilter, value?: string): EventFilter {
  const next = { ...filter };
  const list = next[name];
  if (value !== undefined && Array.isArray(list)) {
    const rest = list.filter((item) => item !== value);
    if (rest.length > 0) next[name as ListName] = rest;
    else delete next[name];
  } else {
    delete next[name];
  }
  return next;
}
