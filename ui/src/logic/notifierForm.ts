// A notifier as its form has it: for each kind the fields of its destination and its secrets, as data.
import type { components } from "../api/schema";
import type { Notifier } from "../api/types";
import { readSelector, writeSelector } from "./labelSelector";

type NewNotifier = components["schemas"]["NewNotifier"];
type Destination = components["schemas"]["NotifierDestination"];
type Filter = components["schemas"]["NotifierFilter"];
type Secrets = components["schemas"]["NotifierSecrets"];
export type SecretName = keyof Secrets;

export interface DestinationField {
  name: string;
  label: string;
  about?: string;
  placeholder?: string;
  kind: "text" | "number" | "choice" | "area" | "switch";
  required?: boolean;
  options?: readonly { value: string; label: string }[];
  /** What it is without an entry. */
  start?: string | number;
  /** Seldom needed: stands apart. */
  advanced?: boolean;
  /** Left out where this is not so. */
  when?: (values: Values) => boolean;
}

export interface SecretField {
  name: SecretName;
  label: string;
  about?: string;
  required?: boolean;
}

interface KindOf {
  title: string;
  about: string;
  fields: readonly DestinationField[];
  secrets: readonly SecretField[];
}

export type Values = Record<string, string | number | boolean>;

const AUTHORITY: DestinationField = {
  name: "authority", label: "Authority", kind: "area", advanced: true, placeholder: "-----BEGIN CERTIFICATE-----",
  about: "Certificates in PEM that the receiver’s must descend from, instead of the system’s. It is always checked.",
};
const PLAINTEXT: DestinationField = {
  name: "plaintext", label: "Let secrets travel over http, unencrypted", kind: "switch", advanced: true,
};
const AUTHORIZATION: SecretField = {
  name: "authorization", label: "Authorization header", about: "Its whole value, such as Bearer …",
};

function url(placeholder: string, about?: string): DestinationField {
  return { name: "url", label: "Address", kind: "text", required: true, placeholder, ...(about ? { about } : {}) };
}

export const KINDS = {
  syslog: {
    title: "Syslog",
    about: "RFC 5424 or CEF, over UDP, TCP or TLS: rsyslog, syslog-ng, QRadar, ArcSight",
    fields: [
      { name: "address", label: "Address", kind: "text", required: true, placeholder: "syslog.example.org:6514" },
      { name: "transport", label: "Transport", kind: "choice", start: "Tls",
        options: [{ value: "Tls", label: "TLS" }, { value: "Tcp", label: "TCP, unencrypted" }, { value: "Udp", label: "UDP, unencrypted" }],
        about: "Over UDP nothing is known of what arrives" },
      { name: "format", label: "Format", kind: "choice", start: "Rfc5424",
        options: [{ value: "Rfc5424", label: "RFC 5424 with structured data" }, { value: "Cef", label: "CEF" }] },
      { name: "facility", label: "Facility", kind: "number", start: 16, about: "16 is local0", advanced: true },
      { name: "maxBytes", label: "Longest message, in bytes", kind: "number", advanced: true,
        about: "2048 over UDP and 8192 otherwise, where empty" },
      { ...AUTHORITY, when: (values) => values["transport"] === "Tls" },
    ],
    secrets: [],
  },
  splunk: {
    title: "Splunk",
    about: "The HTTP Event Collector, sourcetype moat:event",
    fields: [
      url("https://splunk.example.org:8088"),
      { name: "index", label: "Index", kind: "text", about: "The token’s own, where empty" }, AUTHORITY, PLAINTEXT,
    ],
    secrets: [{ name: "token", label: "Token", required: true }],
  },
  elasticsearch: {
    title: "Elasticsearch",
    about: "Elasticsearch or OpenSearch: each event once, under its id",
    fields: [
      url("https://opensearch.example.org:9200"),
      { name: "index", label: "Index", kind: "text", required: true, placeholder: "moat-events", about: "An index, an alias or a data stream" },
      { name: "user", label: "User", kind: "text", about: "With a password; not with an API key" }, AUTHORITY, PLAINTEXT,
    ],
    secrets: [{ name: "token", label: "API key" }, { name: "password", label: "Password of the user" }],
  },
  webhook: {
    title: "Webhook",
    about: "A signed POST of JSON, by the Standard Webhooks specification",
    fields: [url("https://hooks.example.org/moat"), AUTHORITY, PLAINTEXT],
    secrets: [
      { name: "signingKey", label: "Signing key",
        about: "whsec_ and base64: by it the receiver knows that a request is this console’s (HMAC-SHA256)" },
      AUTHORIZATION,
    ],
  },
  slack: {
    title: "Slack",
    about: "An incoming webhook of Slack, Mattermost or Rocket.Chat",
    fields: [AUTHORITY, PLAINTEXT],
    secrets: [{ name: "url", label: "Address of the incoming webhook", required: true, about: "Who knows it can write to the channel" }],
  },
  otlp: {
    title: "OpenTelemetry",
    about: "Logs to a collector: OTLP as JSON over HTTP",
    fields: [url("https://collector.example.org:4318", "/v1/logs is added"), AUTHORITY, PLAINTEXT],
    secrets: [AUTHORIZATION],
  },
  file: {
    title: "File",
    about: "A JSON object a line, in the console’s own folder",
    fields: [{ name: "name", label: "File name", kind: "text", required: true, placeholder: "events.jsonl",
      about: "In the folder notify of the console’s state. To rotate it, rename it." }],
    secrets: [],
  },
} as const satisfies Record<string, KindOf>;

export type Kind = keyof typeof KINDS;

export function kindOf(kind: Kind): KindOf {
  return KINDS[kind];
}

export interface Draft {
  name: string;
  kind: Kind;
  values: Values;
  /** Null: those that are kept stay. */
  secrets: Partial<Record<SecretName, string>> | null;
  minSeverity: string;
  types: string[];
  actions: string[];
  namespaces: string[];
  excludeNamespaces: string[];
  labels: string;
  enabled: boolean;
}

export function newDraft(kind: Kind): Draft {
  return {
    name: "", kind, values: starts(kind), secrets: {}, minSeverity: "", types: [], actions: [], namespaces: [],
    excludeNamespaces: [], labels: "", enabled: true,
  };
}

function starts(kind: Kind): Values {
  return Object.fromEntries(kindOf(kind).fields.flatMap(({ name, start }) => (start === undefined ? [] : [[name, start]])));
}

function parts(destination: Destination): [Kind, Values] {
  const entries = Object.entries(destination) as [Kind, Record<string, unknown>][];
  const [kind, fields]: [Kind, Record<string, unknown>] = entries[0] ?? ["file", {}];
  const known = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return [kind, Object.fromEntries(known) as Values];
}

export function draftOf({ name, destination, secrets, filter, enabled }: Notifier): Draft {
  const [kind, values] = parts(destination);
  return {
    name, kind, values: { ...starts(kind), ...values }, secrets: secrets.length > 0 ? null : {},
    minSeverity: filter.minSeverity ?? "", types: filter.types ?? [], actions: filter.actions ?? [],
    namespaces: filter.namespaces ?? [], excludeNamespaces: filter.excludeNamespaces ?? [],
    labels: writeSelector(filter.labelSelector), enabled,
  };
}

/** Where secrets travel to: they are kept for that address only. */
export function address({ kind, values }: Pick<Draft, "kind" | "values">): string {
  return `${kind} ${String(values[kind === "syslog" ? "address" : "url"] ?? "")}`;
}

/** What is wrong with the draft before the console is asked, by the field's name. */
export function mistakes(draft: Draft): Record<string, string> {
  const found: Record<string, string> = {};
  if (draft.name.trim() === "") found["name"] = "It needs a name";
  const { fields, secrets } = kindOf(draft.kind);
  for (const { name, required, label } of fields) {
    if (required && !draft.values[name]) found[`destination.${name}`] = `${label}: needed`;
  }
  for (const { name, required, label } of secrets) {
    if (draft.secrets && required && !draft.secrets[name]) found[`secrets.${name}`] = `${label}: needed`;
  }
  const read = readSelector(draft.labels);
  if ("wrong" in read) found["labels"] = `No label selector: ${read.wrong}`;
  return found;
}

/** As the API takes it. */
export function written(draft: Draft): NewNotifier {
  const shown = kindOf(draft.kind).fields.filter(({ when }) => when === undefined || when(draft.values));
  const entries = shown.map(({ name }) => [name, draft.values[name]] as const);
  const fields = Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== "" && value !== false));
  const secrets = draft.secrets && Object.entries(draft.secrets).filter(([, value]) => value !== "");
  const read = readSelector(draft.labels);
  const filter = {
    ...(draft.minSeverity ? { minSeverity: draft.minSeverity } : {}),
    ...(draft.types.length > 0 ? { types: draft.types } : {}),
    ...(draft.actions.length > 0 ? { actions: draft.actions } : {}),
    ...(draft.namespaces.length > 0 ? { namespaces: draft.namespaces } : {}),
    ...(draft.excludeNamespaces.length > 0 ? { excludeNamespaces: draft.excludeNamespaces } : {}),
    ...("selector" in read && read.selector ? { labelSelector: read.selector } : {}),
  } as Filter;
  return {
    name: draft.name.trim(),
    destination: { [draft.kind]: fields } as unknown as Destination,
    secrets: secrets && (Object.fromEntries(secrets) as Secrets),
    filter,
    enabled: draft.enabled,
  };
}

/** `TLS to syslog.example.org:6514`: where a notifier sends to, in a line. */
export function destinationInWords(destination: Destination): string {
  const [kind, values] = parts(destination);
  const text = (name: string) => String(values[name] ?? "");
  switch (kind) {
    case "syslog": return `${values["format"] === "Cef" ? "CEF" : "RFC 5424"} over ${text("transport").toUpperCase()} to ${text("address")}`;
    case "elasticsearch": return `${text("index")} at ${text("url")}`;
    case "slack": return "an incoming webhook";
    case "file": return text("name");
    default: return text("url");
  }
}

export function kindTitle(destination: Destination): string {
  return kindOf(parts(destination)[0]).title;
}

/** `High or worse, FileAccess, in shop`: which events, in a line. */
export function filterInWords(filter: Filter): string {
  const labels = writeSelector(filter.labelSelector);
  const words = [
    filter.minSeverity && filter.minSeverity !== "Info" ? `${filter.minSeverity}${filter.minSeverity === "Critical" ? "" : " or worse"}` : "",
    filter.types?.join(" or ") ?? "",
    filter.actions?.join(" or ") ?? "",
    filter.namespaces?.length ? `in ${filter.namespaces.join(" or ")}` : "",
    filter.excludeNamespaces?.length ? `not in ${filter.excludeNamespaces.join(" or ")}` : "",
    labels ? `of pods with ${labels}` : "",
  ].filter((word) => word !== "");
  return words.join(", ") || "all events";
}
