// Label selectors as `kubectl --selector` writes them: `app=web,tier in (front, back),env!=dev,!beta`.
import type { components } from "../api/schema";

type LabelSelector = components["schemas"]["LabelSelector"];
type Expression = components["schemas"]["LabelExpression"];

const KEY = "[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?";
const VALUE = "[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|";
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const EQUAL = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*(${VALUE})$`);
const EXISTS = new RegExp(`^(!?)\\s*(${KEY})$`);

/** The selector, or the part that is none. An empty text selects everything: null. */
export function readSelector(text: string): { selector: LabelSelector | null } | { wrong: string } {
  const labels: Record<string, string> = {};
  const expressions: Expression[] = [];
  // A comma inside of parentheses separates values.
  for (const part of text.split(/,(?![^()]*\))/).map((one) => one.trim())) {
    if (part === "") continue;
    const set = SET.exec(part);
    const equal = EQUAL.exec(part);
    const exists = EXISTS.exec(part);
    if (set) {
      const values = (set[3] ?? "").split(",").map((value) => value.trim()).filter((value) => value !== "");
      if (values.length === 0) return { wrong: part };
      expressions.push({ key: set[1] ?? "", operator: set[2] === "in" ? "In" : "NotIn", values });
    } else if (equal) {
      const [, key = "", operator, value = ""] = equal;
      if (operator === "!=") expressions.push({ key, operator: "NotIn", values: [value] });
      // Of one key two values never hold at once, and a mapping would keep only one of them.
      else if (key in labels) return { wrong: part };
      else labels[key] = value;
    } else if (exists) {
      expressions.push({ key: exists[2] ?? "", operator: exists[1] ? "DoesNotExist" : "Exists" });
    } else {
      return { wrong: part };
    }
  }
  const selector: LabelSelector = {
    ...(Object.keys(labels).length > 0 ? { matchLabels: labels } : {}),
    ...(expressions.length > 0 ? { matchExpressions: expressions } : {}),
  };
  return { selector: Object.keys(selector).length > 0 ? selector : null };
}

export function writeSelector(selector: LabelSelector | null | undefined): string {
  const labels = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const expressions = (selector?.matchExpressions ?? []).map(({ key, operator, values }) => ({
    In: `${key} in (${values?.join(", ")})`,
    NotIn: values?.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values?.join(", ")})`,
    Exists: key,
    DoesNotExist: `!${key}`,
  })[operator]);
  return [...labels, ...expressions].join(",");
}
