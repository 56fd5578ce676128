// Small pieces of text that stand everywhere: strings from inside containers, times, labels, names of containers.
import { Group, Text, Tooltip } from "@mantine/core";
import { useEffect, useState } from "react";
import { printable } from "../logic/printable";
import { ago, clockTime, localTime, utcTime } from "../logic/time";

/** A string that an attacker may have chosen. */
export function Foreign({ text, mono, wrap }: { text: string; mono?: boolean; wrap?: boolean }) {
  const shown = printable(text);
  return (
    <span className={`${mono ? "mono" : ""} ${wrap ? "" : "ellipsis"}`} title={wrap ? undefined : shown}
      style={wrap ? { overflowWrap: "anywhere" } : { display: "block" }}>
      {shown}
    </span>
  );
}

/** Local time; UTC on hover and for screen readers' `datetime`. */
export function Time({ at, relative, clock }: { at: string | null | undefined; relative?: boolean; clock?: boolean }) {
  const now = useNow(relative ? 10_000 : 0);
  if (!at) return <Text span c="dimmed" size="sm">never</Text>;
  return (
    <Tooltip label={relative || clock ? `${localTime(at)} · ${utcTime(at)}` : utcTime(at)}>
      <time dateTime={at} className="number" style={{ whiteSpace: "nowrap" }}>
        {relative ? ago(at, now) : clock ? clockTime(at) : localTime(at)}
      </time>
    </Tooltip>
  );
}

/** The present, again every `interval` milliseconds; 0 for once. */
export function useNow(interval: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (interval === 0) return;
    const timer = setInterval(() => setNow(Date.now()), interval);
    return () => clearInterval(timer);
  }, [interval]);
  return now;
}

export function Fact({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <div style={{ minWidth: 0 }}>
      <div className="label">{label}</div>
      <div style={{ marginTop: 2, minWidth: 0 }}>{children}</div>
    </div>
  );
}

export function Labels({ labels }: { labels: Record<string, string> | undefined }) {
  const entries = Object.entries(labels ?? {});
  if (entries.length === 0) return <Text span c="dimmed" size="sm">none</Text>;
  return (
    <Group gap={6}>
      {entries.map(([key, value]) => (
        <span key={key} className="mono" style={{ background: "var(--moat-sunken)", borderRadius: 5, padding: "1px 7px",
          overflowWrap: "anywhere" }}>
          {printable(key)}={printable(value)}
        </span>
      ))}
    </Group>
  );
}
