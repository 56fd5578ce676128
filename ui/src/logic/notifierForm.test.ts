import { expect, test } from "vitest";
import type { Notifier } from "../api/types";
import { address, destinationInWords, draftOf, filterInWords, type Kind, KINDS, mistakes, newDraft, written } from "./notifierForm";

function notifier(of: Partial<Notifier>): Notifier {
  return {
    id: "1", name: "siem", destination: { file: { name: "events.jsonl" } }, secrets: [], filter: {}, enabled: true, revision: 1,
    status: { condition: "Working", delivered: 0, givenUp: 0, missed: 0 }, behind: 0, deadLetters: 0, ...of,
  };
}

test("what was not entered is not sent", () => {
  const draft = { ...newDraft("syslog"), name: " siem ", values: { ...newDraft("syslog").values, address: "a:6514", authority: "" } };
  expect(written(draft)).toEqual({
    name: "siem", destination: { syslog: { address: "a:6514", transport: "Tls", format: "Rfc5424", facility: 16 } }, secrets: {},
    filter: {}, enabled: true,
  });
});

test("a field that does not apply is not sent", () => {
  const draft = newDraft("syslog");
  draft.values = { ...draft.values, address: "a:514", transport: "Udp", authority: "-----BEGIN" };
  expect(written(draft).destination).toEqual({ syslog: { address: "a:514", transport: "Udp", format: "Rfc5424", facility: 16 } });
});

test("secrets that are there stay unless others are entered", () => {
  const kept = draftOf(notifier({ destination: { splunk: { url: "https://s", plaintext: false } }, secrets: ["token"] }));
  expect(written(kept).secrets).toBeNull();
  expect(mistakes(kept)).toEqual({});
  expect(mistakes({ ...kept, secrets: {} })).toEqual({ "secrets.token": "Token: needed" });
  expect(written({ ...kept, secrets: { token: "new" } }).secrets).toEqual({ token: "new" });
});

test("every kind says what is missing", () => {
  for (const kind of Object.keys(KINDS) as Kind[]) {
    expect(Object.keys(mistakes(newDraft(kind)))).toContain("name");
    expect(Object.keys(mistakes({ ...newDraft(kind), name: "n" })).length).toBeGreaterThan(0);
  }
});

test("a notifier is read and written back as it was", () => {
  const filter = {
    minSeverity: "High", types: ["FileAccess"], actions: ["Blocked"], namespaces: ["shop"], excludeNamespaces: ["kube-*"],
    labelSelector: { matchLabels: { app: "web" }, matchExpressions: [{ key: "tier", operator: "In", values: ["a", "b"] }] },
  } as Notifier["filter"];
  const before = notifier({ destination: { elasticsearch: { url: "https://e", index: "moat", plaintext: true } }, filter, secrets: ["token"] });
  expect(written(draftOf(before))).toEqual({
    name: "siem", destination: { elasticsearch: { url: "https://e", index: "moat", plaintext: true } }, secrets: null, filter, enabled: true,
  });
  expect(filterInWords(filter)).toBe("High or worse, FileAccess, Blocked, in shop, not in kube-*, of pods with app=web,tier in (a, b)");
  expect(filterInWords({})).toBe("all events");
});

test("a mistake in the labels is told and not sent", () => {
  expect(mistakes({ ...newDraft("file"), name: "n", values: { name: "f" }, labels: "a b" })).toEqual({ labels: "No label selector: a b" });
});

test("secrets belong to an address", () => {
  const before = draftOf(notifier({ destination: { webhook: { url: "https://a", plaintext: false } }, secrets: ["signingKey"] }));
  expect(address(before)).toBe("webhook https://a");
  expect(address({ ...before, values: { url: "https://b" } })).not.toBe(address(before));
});

test("where it sends to is said in a line", () => {
  expect(destinationInWords({ syslog: { address: "a:514", transport: "Udp", format: "Cef", facility: 16 } })).toBe("CEF over UDP to a:514");
  expect(destinationInWords({ slack: { plaintext: false } })).toBe("an incoming webhook");
  expect(destinationInWords({ file: { name: "e.jsonl" } })).toBe("e.jsonl");
});
