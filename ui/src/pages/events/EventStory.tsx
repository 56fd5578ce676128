// The whole story of one event: what happened, in which line of processes, which rule decided, and what to do next.
import { ActionIcon, Button, Code, Group, Menu, ScrollArea, Stack, Text, Title, Tooltip } from "@mantine/core";
import { IconBox, IconChevronDown, IconCopy, IconCornerDownRight, IconShield, IconShieldPlus, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Link, useNavigate } from "react-router";
import { stringify } from "yaml";
import { api, body } from "../../api/client";
import type { Event, EventDetail } from "../../api/types";
import { useMay } from "../../app/session";
import { ActionMark, SeverityMark } from "../../components/marks";
import { PolicyLink, policyPath } from "../../components/PolicyLink";
import { Loading, Unavailable } from "../../components/states";
import { Fact, Foreign, Labels, Time } from "../../components/text";
import { ancestry } from "../../logic/ancestry";
import { toAddress } from "../../logic/eventFilter";
import { exceptionsFor } from "../../logic/exception";
import { commandLine, printable } from "../../logic/printable";

export function EventStory({ id, close }: { id: string; close: () => void }) {
  const detail = useQuery({
    queryKey: ["event", id],
    queryFn: () => body(api.GET("/events/{id}", { params: { path: { id } } })),
    staleTime: 60_000,
  });
  return (
    <aside className="panel" aria-label="The event's story" style={{ width: "clamp(400px, 32vw, 620px)", display: "flex", flexDirection: "column" }}>
      <Group justify="space-between" px={18} py={12} style={{ borderBottom: "1px solid var(--moat-border)" }}>
        <Title order={2} size="0.9rem">The whole story</Title>
        <Tooltip label="Close (Esc)">
          <ActionIcon variant="subtle" color="gray" aria-label="Close the story" onClick={close}><IconX size={18} /></ActionIcon>
        </Tooltip>
      </Group>
      {detail.isPending ? <Loading label="Loading the story" />
        : detail.isError ? <Unavailable error={detail.error} retry={() => void detail.refetch()} />
        : <Story detail={detail.data} />}
    </aside>
  );
}

function Story({ detail }: { detail: EventDetail }) {
  const { event } = detail.record;
  return (
    <ScrollArea style={{ flex: 1, minHeight: 0 }} type="auto">
      <Stack gap={20} p={18}>
        <div>
          <Group gap="sm" mb={8}>
            <SeverityMark severity={event.severity} />
            <ActionMark action={event.action} />
            <Time at={event.timestamp} />
          </Group>
          <Text fw={550} style={{ overflowWrap: "anywhere" }}>{printable(event.message)}</Text>
          {event.count !== undefined && event.count > 1 && <Text size="sm" c="dimmed" mt={4}>It happened {event.count} times in a row.</Text>}
        </div>
        <Actions detail={detail} />
        <Section title="Processes"><ProcessTree event={event} related={detail.related.map((record) => record.event)} /></Section>
        <Section title="Decided by"><Decision detail={detail} /></Section>
        <Section title="Where">
          <div style={{ display: "grid", gridTemplateColumns: "1fr 1fr", gap: 12 }}>
            <Maybe label="Pod" value={event.podName} />
            <Maybe label="Container" value={event.containerName} />
            <Maybe label="Namespace" value={event.namespace} />
            <Maybe label="Node" value={event.node} />
            <div style={{ gridColumn: "1 / -1" }}><Maybe label="Image" value={event.image} mono /></div>
            {event.filePath && <div style={{ gridColumn: "1 / -1" }}><Maybe label={event.fileOperation ?? "File"} value={event.filePath} mono /></div>}
            {event.peer && (
              <div style={{ gridColumn: "1 / -1" }}>
                <Maybe label={`${event.peer.direction} peer`} mono value={`${event.peer.address} port ${event.peer.port}/${event.peer.protocol}`} />
              </div>
            )}
            <Maybe label="System call" value={event.syscall} mono />
            <Maybe label="Capability" value={event.capability} mono />
            <div style={{ gridColumn: "1 / -1" }}><Fact label="Labels"><Labels labels={event.labels} /></Fact></div>
          </div>
        </Section>
        <Section title={`Same container, ten minutes around it (${detail.related.length})`}>
          {detail.related.length === 0 ? <Text size="sm" c="dimmed">Nothing else.</Text> : (
            <Stack gap={6}>
              {detail.related.slice(0, 20).map(({ event: other }) => (
                <div key={other.id} style={{ display: "grid", gridTemplateColumns: "128px 1fr", gap: 8, fontSize: 13 }}>
                  <Time at={other.timestamp} /><Foreign text={other.message} />
                </div>
              ))}
            </Stack>
          )}
        </Section>
        <Section title="As it was recorded" aside={
          <Tooltip label="Copy">
            <ActionIcon variant="subtle" color="gray" aria-label="Copy the event as JSON"
              onClick={() => void navigator.clipboard.writeText(JSON.stringify(event))}><IconCopy size={16} /></ActionIcon>
          </Tooltip>}>
          <Code block fz={12} tabIndex={0}>{printableJson(event)}</Code>
        </Section>
      </Stack>
    </ScrollArea>
  );
}

function Actions({ detail }: { detail: EventDetail }) {
  const navigate = useNavigate();
  const operator = useMay("Operator");
  const { event } = detail.record;
  const rule = detail.rule;
  const workload = detail.record.workload?.split("/").map(encodeURIComponent).join("/");
  const exceptions = rule ? exceptionsFor(rule.definition, event) : [];
  const pod = toAddress({ ...(event.namespace ? { namespaces: [event.namespace] } : {}), ...(event.podName ? { pods: [event.podName] } : {}) });
  return (
    <Group gap="xs">
      {rule?.source === "Console" && operator && exceptions.length > 0 && (
        <Menu shadow="md" width={380} position="bottom-start">
          <Menu.Target>
            <Button size="xs" leftSection={<IconShieldPlus size={15} />} rightSection={<IconChevronDown size={14} />}>Add exception</Button>
          </Menu.Target>
          <Menu.Dropdown>
            {exceptions.map((exception) => (
              <Menu.Item key={exception.title} style={{ overflowWrap: "anywhere" }} onClick={() =>
                void navigate(`/policies/${encodeURIComponent(rule.policy)}/edit`,
                  { state: { exception, rule: rule.rule, event: event.id } })}>
                {printable(exception.title)}
                {exception.caution && <Text size="xs" c="dimmed">{exception.caution}</Text>}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      )}
      {event.policyName && (
        <Button size="xs" variant="default" leftSection={<IconShield size={15} />} component={Link}
          to={policyPath(event.policyName, rule?.source)}>See policy</Button>
      )}
      {workload && (
        <Button size="xs" variant="default" leftSection={<IconBox size={15} />} component={Link} to={`/workloads/${workload}`}>See workload</Button>
      )}
      {event.podName && (
        <Button size="xs" variant="default" component={Link} to={`/events?${pod}`}>All of this pod</Button>
      )}
    </Group>
  );
}

function ProcessTree({ event, related }: { event: Event; related: readonly Event[] }) {
  const chain = ancestry(event, related);
  const process = event.process;
  if (chain.length === 0 || !process) return <Text size="sm" c="dimmed">The event names no process.</Text>;
  const origin = chain[0]?.origin;
  return (
    <Stack gap={2}>
      <Text size="sm" c="dimmed">
        {origin === "ExecSession" ? "Put into the running container from outside (exec session)"
          : origin === "Entrypoint" ? "Started by the container itself" : "Origin not known"}
      </Text>
      {chain.map((step, depth) => {
        const last = depth === chain.length - 1;
        return (
          <div key={step.pid} style={{ paddingLeft: depth * 16, display: "flex", gap: 6, alignItems: "baseline" }}>
            <IconCornerDownRight size={14} aria-hidden style={{ flexShrink: 0, transform: "translateY(2px)", opacity: 0.6 }} />
            <div style={{ minWidth: 0, fontWeight: last ? 600 : 400 }}>
              <span className="mono" style={{ overflowWrap: "anywhere" }}>{printable(step.executable || "not known")}</span>{" "}
              <Text span size="xs" c="dimmed" className="number">{step.pid}</Text>
              {step.arguments.length > 0 && (
                <div className="mono" style={{ color: "var(--mantine-color-dimmed)", fontWeight: 400, overflowWrap: "anywhere" }}>
                  {commandLine(step.arguments)}
                </div>
              )}
            </div>
          </div>
        );
      })}
      <Text size="xs" c="dimmed" mt={4} style={{ overflowWrap: "anywhere" }}>
        user {process.uid}{process.cwd ? `, in ${printable(process.cwd)}` : ""}
        {process.argumentsTruncated ? "; the arguments were longer than what is recorded" : ""}
      </Text>
    </Stack>
  );
}

function Decision({ detail }: { detail: EventDetail }) {
  const { event } = detail.record;
  const [open, setOpen] = useState(false);
  if (!event.policyName) return <Text size="sm" c="dimmed">No policy decided this: it is Moat’s own report.</Text>;
  return (
    <Stack gap={8}>
      <Text size="sm">
        <PolicyLink name={event.policyName} {...(detail.rule ? { source: detail.rule.source } : {})} />
        {event.rule && <> / <span className="mono">{printable(event.rule)}</span></>}
      </Text>
      {event.reason && <Text size="sm" style={{ overflowWrap: "anywhere" }}>{printable(event.reason)}</Text>}
      {detail.rule ? (
        <>
          <Text size="xs" c="dimmed">
            {detail.rule.source === "Node" ? "A file in the node’s own folder" : `Now at revision ${detail.rule.revision}`}, in mode {detail.rule.mode}.{" "}
            <button type="button" onClick={() => setOpen(!open)} aria-expanded={open}
              style={{ font: "inherit", background: "none", border: 0, padding: 0, color: "var(--moat-accent)", cursor: "pointer" }}>
              {open ? "Hide the rule" : "Show the rule"}
            </button>
          </Text>
          {open && <Code block fz={12} tabIndex={0}>{stringify(detail.rule.definition, { lineWidth: 0 })}</Code>}
        </>
      ) : <Text size="xs" c="dimmed">There is no such rule now: it was changed or deleted since.</Text>}
    </Stack>
  );
}

function Section({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section>
      <Group justify="space-between" mb={8}>
        <Title order={3} size="0.8rem" c="dimmed" fw={600}>{title}</Title>{aside}
      </Group>
      {children}
    </section>
  );
}

function Maybe({ label, value, mono }: { label: string; value: string | null | undefined; mono?: boolean }) {
  if (!value) return null;
  return <Fact label={label}><Foreign text={value} wrap {...(mono ? { mono } : {})} /></Fact>;
}

/** The JSON over several lines, its strings' own characters made visible. */
function printableJson(event: Event): string {
  return JSON.stringify(event, null, 2).split("\n").map(printable).join("\n");
}
