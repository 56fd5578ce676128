// A policy's document with one more exception, so that an event like the one given is let through.
//
// Comments and the order of the document stay. Nothing is saved here: the editor shows the result, with what it
// would change, before anyone saves it.
import { type Document, isMap, isSeq, parseDocument } from "yaml";
import type { Event } from "../api/types";
import { rewrite } from "./rewrite";

export interface Exception {
  /** For the button: `Allow /bin/cat to do this`. */
  title: string;
  /** Where in the rule, and what is added there. */
  additions: { path: string[]; value: string }[];
  /** What this lets through beyond the event, where that is more than meets the eye. */
  caution?: string;
}

const LISTS_OF_MATCHER = ["process", "file", "network", "drift"] as const;

/** Exceptions that fit `event` and the rule that decided, narrowest first; none where the rule can have none. */
export function exceptionsFor(definition: unknown, event: Event): Exception[] {
  if (typeof definition !== "object" || definition === null) return [];
  const rule = definition as Record<string, unknown>;
  const matcher = LISTS_OF_MATCHER.find((name) => rule[name]);
  const executable = event.process?.executable;
  switch (matcher) {
    case "process": {
      const path = event.filePath ?? executable;
      if (!path) return [];
      const allowOnly = (rule["process"] as Record<string, unknown>)["allowOnly"];
      return [{
        title: `Let ${path} run`,
        additions: [{ path: ["process", allowOnly ? "allowOnly" : "except", "paths"], value: path }],
      }];
    }
    case "drift": {
      const path = event.filePath ?? executable;
      if (!path || event.filePath?.startsWith("/memfd:")) return [];
      return [{ title: `Let ${path} run`, additions: [{ path: ["drift", "except", "paths"], value: path }] }];
    }
    case "file": {
      const found: Exception[] = [];
      if (executable) {
        found.push({
          title: `Let ${executable} do this`,
          additions: [{ path: ["file", "except", "processes"], value: executable }],
          caution: "It may then do so to every path of the rule.",
        });
      }
      if (event.filePath) {
        found.push({
          title: `Leave ${event.filePath} alone`,
          additions: [{ path: ["file", "except", "paths"], value: event.filePath }],
          caution: "Every program may then do so to this path.",
        });
      }
      return found;
    }
    case "network": {
      if (!event.peer || event.peer.protocol === "Raw") return [];
      const { address, port } = event.peer;
      const cidr = `${address}/${address.includes(":") ? 128 : 32}`;
      const except = (rule["network"] as Record<string, unknown>)["except"] as Record<string, unknown> | undefined;
      const ports = except?.["ports"];
      // Without a list of ports the exception holds for all of them; a first exception names the one that was used.
      const narrow = !except || Array.isArray(ports);
      return [{
        title: `Let it reach ${address} on port ${port}`,
        additions: [
          { path: ["network", "except", "cidrs"], value: cidr },
          ...(narrow ? [{ path: ["network", "except", "ports"], value: String(port) }] : []),
        ],
        caution: except ? "The rule has exceptions already: each of its networks is excepted on each of its ports." : undefined,
      }];
    }
    default:
      return [];
  }
}

/** `text` with the exception in it; null where the document or the rule is not as it was. */
export function withException(text: string, ruleName: string, exception: Exception): string | null {
  const document = parseDocument(text);
  const rule = findRule(document, ruleName);
  if (rule === null) return null;
  for (const { path, value } of exception.additions) {
    const whole = ["spec", "rules", rule, ...path];
    const list = document.getIn(whole);
    if (isSeq(list)) {
      if (!list.items.some((item) => String(item) === value)) list.add(document.createNode(value));
    } else {
      document.setIn(whole, document.createNode([value], { flow: true }));
    }
  }
  return rewrite(text, parseDocument(text), document);
}

function findRule(document: Document, name: string): number | null {
  if (document.errors.length > 0) return null;
  const rules = document.getIn(["spec", "rules"]);
  if (!isSeq(rules)) return null;
  const index = rules.items.findIndex((rule) => isMap(rule) && rule.get("name") === name);
  return index < 0 ? null : index;
}
