// The form beside the YAML: both are views of one text. A field reads from the parsed document and writes into it, so
// that comments, order and everything that the form does not know stay as they are.
import { type Document, isMap, isSeq, parseDocument } from "yaml";
import { rewrite } from "./rewrite";

export type Path = (string | number)[];

export interface Field {
  key: string;
  label: string;
  kind: "text" | "list" | "choice" | "choices" | "switch" | "labels";
  options?: readonly string[];
  placeholder?: string;
  about?: string;
}

export const SEVERITIES = ["Info", "Low", "Medium", "High", "Critical"] as const;
export const ACTIONS = ["Alert", "Block", "KillProcess", "KillPod", "Quarantine"] as const;
export const OPERATIONS = ["Read", "Write", "Create", "Delete", "Rename", "Chmod", "Chown", "Link", "Truncate", "SetXattr"] as const;

export const SELECTORS: readonly Field[] = [
  { key: "namespaceSelector.matchNames", label: "Namespaces", kind: "list", placeholder: "prod-*", about: "All where empty" },
  { key: "namespaceSelector.excludeNames", label: "But not namespaces", kind: "list", placeholder: "kube-system" },
  { key: "labelSelector.matchLabels", label: "Pod labels", kind: "labels", placeholder: "app=nginx" },
  { key: "workloadSelector.names", label: "Workloads", kind: "list", placeholder: "web-*" },
  { key: "workloadSelector.kinds", label: "Kinds", kind: "list", placeholder: "Deployment" },
  { key: "workloadSelector.images", label: "Images", kind: "list", placeholder: "docker.io/library/nginx:*" },
];

/** The matchers of a rule, and what the form shows of each. A rule has exactly one. */
export const MATCHERS: Record<string, { title: string; fields: readonly Field[]; start: unknown }> = {
  process: {
    title: "Executions",
    start: { names: ["sh"] },
    fields: [
      { key: "names", label: "Program names", kind: "list", placeholder: "sh" },
      { key: "paths", label: "Paths", kind: "list", placeholder: "/usr/bin/curl" },
      { key: "pathGlobs", label: "Path patterns", kind: "list", placeholder: "/tmp/**" },
      { key: "nameRegex", label: "Name, as a regular expression", kind: "text", placeholder: "^(ba|z)?sh$" },
      { key: "argsRegex", label: "Arguments, as a regular expression", kind: "text", placeholder: "(^| )-c( |$)" },
      { key: "parents", label: "Only under", kind: "list", placeholder: "nginx" },
      { key: "users", label: "Only as user", kind: "list", placeholder: "root" },
      { key: "origin", label: "Origin", kind: "choice", options: ["Any", "Entrypoint", "ExecSession"] },
      { key: "allowOnly.paths", label: "Allow only these paths", kind: "list", about: "Everything else is denied", placeholder: "/usr/sbin/nginx" },
      { key: "except.paths", label: "Except paths", kind: "list" },
      { key: "except.names", label: "Except names", kind: "list" },
    ],
  },
  file: {
    title: "Files",
    start: { paths: ["/etc/**"], operations: ["Write"] },
    fields: [
      { key: "paths", label: "Paths", kind: "list", placeholder: "/etc/**" },
      { key: "operations", label: "Operations", kind: "choices", options: OPERATIONS },
      { key: "processes", label: "Only by programs", kind: "list" },
      { key: "users", label: "Only as user", kind: "list" },
      { key: "except.paths", label: "Except paths", kind: "list" },
      { key: "except.processes", label: "Except programs", kind: "list" },
    ],
  },
  network: {
    title: "Network",
    start: { direction: "Egress", cidrs: ["10.0.0.0/8"] },
    fields: [
      { key: "direction", label: "Direction", kind: "choice", options: ["Egress", "Ingress", "Listen"] },
      { key: "cidrs", label: "Networks", kind: "list", placeholder: "10.0.0.0/8", about: "Any where empty" },
      { key: "ports", label: "Ports", kind: "list", placeholder: "1-1024" },
      { key: "protocols", label: "Protocols", kind: "choices", options: ["TCP", "UDP", "Raw"] },
      { key: "except.cidrs", label: "Except networks", kind: "list" },
      { key: "except.ports", label: "Except ports", kind: "list" },
    ],
  },
  drift: {
    title: "Drift",
    start: { execute: true, fileless: true },
    fields: [
      { key: "execute", label: "Programs that did not come with the image", kind: "switch" },
      { key: "fileless", label: "Code without a file", kind: "switch" },
      { key: "except.paths", label: "Except paths", kind: "list" },
    ],
  },
  syscalls: {
    title: "System calls",
    start: ["ptrace"],
    fields: [{ key: "", label: "System calls", kind: "list", placeholder: "ptrace" }],
  },
  capabilities: {
    title: "Capabilities",
    start: ["NET_ADMIN"],
    fields: [{ key: "", label: "Capabilities", kind: "list", placeholder: "SYS_MODULE" }],
  },
};

export interface RuleView {
  name: string;
  severity: string;
  action: string;
  matcher: string | null;
}

export class PolicyForm {
  private readonly original: string;
  private readonly document: Document;

  private constructor(original: string, document: Document) {
    this.original = original;
    this.document = document;
  }

  /** Null where the text is no YAML mapping: then there is nothing to show a form of. */
  static read(text: string): PolicyForm | null {
    const document = parseDocument(text);
    if (document.errors.length > 0 || !isMap(document.contents)) return null;
    return new PolicyForm(text, document);
  }

  get kind(): string {
    return this.text(["kind"]);
  }

  text(path: Path): string {
    const value = this.value(path);
    return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
  }

  list(path: Path): string[] {
    const value = this.value(path);
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** A mapping as `key=value` texts. */
  labels(path: Path): string[] {
    const value = this.value(path);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.entries(value).map(([key, one]) => `${key}=${String(one)}`) : [];
  }

  rules(): RuleView[] {
    const rules = this.document.getIn(["spec", "rules"]);
    if (!isSeq(rules)) return [];
    return rules.items.map((_, index) => ({
      name: this.text(["spec", "rules", index, "name"]),
      severity: this.text(["spec", "rules", index, "severity"]) || "Medium",
      action: this.text(["spec", "rules", index, "action"]),
      matcher: Object.keys(MATCHERS).find((name) => this.document.hasIn(["spec", "rules", index, name])) ?? null,
    }));
  }

  /** The text with `value` at `path`. What is empty goes, and so do the mappings that become empty by it. */
  with(path: Path, value: string | boolean | readonly string[] | Record<string, string>): string {
    const document = this.document.clone();
    const empty = value === "" || value === false || (typeof value === "object" && Object.keys(value).length === 0);
    if (!empty) {
      const flow = typeof value === "object";
      // A list keeps the form it was written in.
      const before = document.getIn(path);
      const node = document.createNode(value, { flow: isSeq(before) || isMap(before) ? before.flow ?? false : flow });
      document.setIn(path, node);
      return this.written(document);
    }
    document.deleteIn(path);
    // A rule keeps its matcher, even an empty one: the form goes on showing it.
    const stays = path[1] === "rules" ? 4 : 1;
    for (let length = path.length - 1; length > stays; length -= 1) {
      const parent = document.getIn(path.slice(0, length));
      if (!isMap(parent) || parent.items.length > 0) break;
      document.deleteIn(path.slice(0, length));
    }
    return this.written(document);
  }

  withMatcher(rule: number, matcher: string): string {
    const document = this.document.clone();
    const base = ["spec", "rules", rule];
    for (const name of Object.keys(MATCHERS)) document.deleteIn([...base, name]);
    document.setIn([...base, matcher], document.createNode(MATCHERS[matcher]?.start, { flow: true }));
    return this.written(document);
  }

  withNewRule(): string {
    const document = this.document.clone();
    const names = new Set(this.rules().map(({ name }) => name));
    let number = names.size + 1;
    while (names.has(`rule-${number}`)) number += 1;
    const rule = document.createNode<unknown>({ name: `rule-${number}`, severity: "Medium", action: "Block" });
    if (isMap(rule)) rule.set("process", document.createNode(MATCHERS["process"]?.start, { flow: true }));
    if (isSeq(document.getIn(["spec", "rules"]))) document.addIn(["spec", "rules"], rule);
    else document.setIn(["spec", "rules"], document.createNode([rule]));
    return this.written(document);
  }

  withoutRule(rule: number): string {
    const document = this.document.clone();
    document.deleteIn(["spec", "rules", rule]);
    return this.written(document);
  }

  private written(document: Document): string {
    return rewrite(this.original, this.document, document);
  }

  private value(path: Path): unknown {
    const node = this.document.getIn(path);
    return isMap(node) || isSeq(node) ? node.toJSON() : node;
  }
}

export const NEW_POLICY = `apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata:
  name: my-policy
spec:
  # Which workloads; all where nothing is said.
  labelSelector:
    matchLabels: { app: my-app }
  mode: Audit # Report what would be done. Enforce when the reports look right.
  rules:
  - name: no-shells
    severity: High
    action: Block
    process: { names: [ sh, bash, dash, ash, zsh ] }
`;
