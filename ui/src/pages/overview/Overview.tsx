// The posture at a glance. Every number leads to what it counts.
import { Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconShieldCheck } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link, useNavigate } from "react-router";
import { api, body } from "../../api/client";
import type { Overview as Posture, TopEntry } from "../../api/types";
import { Page, Panel } from "../../components/Page";
import { SeverityChart, STACK } from "../../components/SeverityChart";
import { Empty, Loading, Unavailable } from "../../components/states";
import { severityFill, SeverityMark } from "../../components/marks";
import { toAddress } from "../../logic/eventFilter";
import { printable } from "../../logic/printable";
import { count } from "../../logic/time";

export default function Overview() {
  const overview = useQuery({
    queryKey: ["overview"], queryFn: () => body(api.GET("/overview")), refetchInterval: 5_000,
  });
  return (
    <Page title="Overview" about="The last 24 hours, and how things stand now">
      {overview.isPending ? <Loading label="Loading the overview" />
        : overview.isError ? <Unavailable error={overview.error} retry={() => void overview.refetch()} />
        : <Posture posture={overview.data} />}
    </Page>
  );
}

function Posture({ posture }: { posture: Posture }) {
  const navigate = useNavigate();
  const nodes = posture.enforcers.connected + posture.enforcers.away;
  if (nodes === 0 && posture.events.total === 0) {
    return (
      <Panel>
        <Empty icon={<IconShieldCheck size={40} stroke={1.3} />} title="Nothing to see yet"
          action={<Link to="/enforcers">Enrol the first node</Link>}>
          Moat sees a node as soon as an enforcer on it has enrolled. Then its workloads, and what is stopped in them,
          appear here.
        </Empty>
      </Panel>
    );
  }
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 4 }} spacing="md">
        <Workloads posture={posture} />
        <Tile label="Stopped" value={posture.blocked} to="/events?hours=24&actions=Blocked,Killed,PodKilled,Quarantined"
          about={`of ${count(posture.events.total)} events in 24 hours`} tone={posture.blocked > 0 ? "accent" : undefined} />
        <Tile label="Policies" value={posture.policies.enforce + posture.policies.audit} to="/policies"
          about={sentence([
            [posture.policies.enforce, "enforce"], [posture.policies.audit, "audit"],
            [posture.policies.degraded, "degraded"], [posture.policies.refused, "refused"],
          ])} tone={posture.policies.refused > 0 ? "critical" : posture.policies.degraded > 0 ? "medium" : undefined} />
        <Tile label="Enforcers" value={`${posture.enforcers.connected} / ${nodes}`} to="/enforcers"
          about={sentence([
            [posture.enforcers.connected, "connected"], [posture.enforcers.away, "away"],
            [posture.enforcers.behind, "behind"], [posture.enforcers.losing, "with losses"],
          ])} tone={posture.enforcers.away + posture.enforcers.losing > 0 ? "medium" : undefined} />
      </SimpleGrid>
      <div style={{ display: "grid", gap: 16, gridTemplateColumns: "minmax(0, 2fr) minmax(280px, 1fr)" }}>
        <Panel title="Events by severity" aside={<Legend posture={posture} />}>
          <SeverityChart buckets={posture.events.buckets} height={250}
            onRange={(from, to) => void navigate(`/events?${toAddress({ from: from.toISOString(), to: to.toISOString() })}`)} />
        </Panel>
        <Panel title="Wants a look">
          {posture.problems.length === 0 ? (
            <Group gap={8} c="var(--moat-good)"><IconShieldCheck size={18} /><Text size="sm">Nothing is amiss.</Text></Group>
          ) : (
            <ul style={{ margin: 0, padding: 0, listStyle: "none", display: "grid", gap: 12, maxHeight: 230, overflow: "auto" }}>
              {posture.problems.map((problem) => (
                <li key={`${problem.link} ${problem.message}`} style={{ display: "grid", gridTemplateColumns: "86px 1fr", gap: 8 }}>
                  <SeverityMark severity={problem.severity} />
                  <Link to={problem.link.startsWith("/") ? problem.link : "/overview"}
                    style={{ color: "inherit", overflowWrap: "anywhere" }}>{printable(problem.message)}</Link>
                </li>
              ))}
            </ul>
          )}
        </Panel>
      </div>
      <SimpleGrid cols={{ base: 1, md: 3 }} spacing="md">
        <Top title="Policies that decided most" entries={posture.topPolicies}
          to={(key) => toAddress({ policies: [key], hours: 24 })} />
        <Top title="Workloads with most events" entries={posture.topWorkloads}
          to={(key) => toAddress({ namespaces: [key.split("/")[0] ?? ""], text: key.split("/").slice(1).join("/"), hours: 24 })} />
        <Top title="Programs with most events" entries={posture.topExecutables} mono
          to={(key) => toAddress({ text: key, hours: 24 })} />
      </SimpleGrid>
    </Stack>
  );
}

function Workloads({ posture }: { posture: Posture }) {
  const { protected: held, audit, unprotected } = posture.workloads;
  const total = held + audit + unprotected;
  const parts = [
    ["Protected", held, "var(--moat-good)"], ["Audit", audit, "var(--moat-medium)"], ["Unprotected", unprotected, "var(--moat-info)"],
  ] as const;
  return (
    <Panel>
      <Text className="label">Workloads protected</Text>
      <Link to="/workloads" style={{ color: "inherit" }} className="number">
        <Text fz={30} fw={650} lh={1.25} style={{ letterSpacing: "-0.02em" }}>
          {held}<Text span c="dimmed" fz={18} fw={500}> / {total}</Text>
        </Text>
      </Link>
      <div className="bar" style={{ margin: "8px 0" }} aria-hidden>
        {parts.map(([name, number, color]) => (
          <i key={name} style={{ width: `${total === 0 ? 0 : (100 * number) / total}%`, background: color }} />
        ))}
      </div>
      <Group gap={12}>
        {parts.slice(1).map(([name, number, color]) => (
          <Link key={name} to={`/workloads?protection=${name}`} style={{ color: "var(--mantine-color-dimmed)", fontSize: 13 }}>
            <Dot color={color} /> {number} {name.toLowerCase()}
          </Link>
        ))}
      </Group>
    </Panel>
  );
}

function Tile({ label, value, about, to, tone }:
  { label: string; value: number | string; about: string; to: string; tone?: string | undefined }) {
  return (
    <Panel>
      <Text className="label">{label}</Text>
      <Link to={to} style={{ color: "inherit" }} className="number">
        <Text fz={30} fw={650} lh={1.25} c={tone && `var(--moat-${tone})`} style={{ letterSpacing: "-0.02em" }}>
          {typeof value === "number" ? count(value) : value}
        </Text>
      </Link>
      <Text size="sm" c="dimmed" mt={8}>{about}</Text>
    </Panel>
  );
}

function Dot({ color }: { color: string }) {
  return <span aria-hidden style={{ display: "inline-block", width: 8, height: 8, borderRadius: 4, background: color, marginRight: 4 }} />;
}

function Legend({ posture }: { posture: Posture }): ReactNode {
  return (
    <Group gap={14}>
      {STACK.map((severity) => (
        <Link key={severity} to={`/events?hours=24&severity=${severity}`} className="number"
          style={{ color: "var(--mantine-color-dimmed)", fontSize: 12 }}>
          <Dot color={severityFill(severity)} /> {severity} {count(posture.events.bySeverity[severity] ?? 0)}
        </Link>
      ))}
    </Group>
  );
}

function Top({ title, entries, to, mono }:
  { title: string; entries: readonly TopEntry[]; to: (key: string) => URLSearchParams; mono?: boolean }) {
  const most = Math.max(1, ...entries.map((entry) => entry.count));
  return (
    <Panel title={title}>
      {entries.length === 0 ? <Text size="sm" c="dimmed">No events in the last 24 hours.</Text> : (
        <ol style={{ margin: 0, padding: 0, listStyle: "none", display: "grid", gap: 9 }}>
          {entries.slice(0, 6).map((entry) => (
            <li key={entry.key}>
              <Group justify="space-between" wrap="nowrap" gap="sm" mb={3}>
                <Link to={`/events?${to(entry.key)}`} className={`ellipsis ${mono ? "mono" : ""}`} style={{ color: "inherit" }}
                  title={printable(entry.key)}>{printable(entry.key)}</Link>
                <span className="number" style={{ fontWeight: 550 }}>{count(entry.count)}</span>
              </Group>
              <div className="bar" style={{ height: 4 }} aria-hidden>
                <i style={{ width: `${(100 * entry.count) / most}%`, background: "var(--moat-accent)", opacity: 0.75 }} />
              </div>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

/** `3 enforce, 1 audit`: only what there is. */
function sentence(parts: [number, string][]): string {
  return parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`).join(", ") || "none yet";
}
