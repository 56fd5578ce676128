// The way to a policy, wherever it is kept.
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { PolicySource } from "../api/types";
import { printable } from "../logic/printable";

/** Without a source, the page that it leads to looks for the policy. */
export function policyPath(name: string, source?: PolicySource, kind = "RuntimePolicy"): string {
  const encoded = encodeURIComponent(name);
  return source === "Node" ? `/policies/nodes/${encodeURIComponent(kind)}/${encoded}` : `/policies/${encoded}`;
}

export function PolicyLink({ name, source, children }: { name: string; source?: PolicySource; children?: ReactNode }) {
  return <Link to={policyPath(name, source)} className="in-text">{children ?? printable(name)}</Link>;
}
