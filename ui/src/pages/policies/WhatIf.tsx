// What a policy would have done to what workloads really did: asked before it is saved.
import { Accordion, Badge, Button, Group, Select, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { type Change, simulate, type Simulation, type WorkloadChanges } from "../../api/simulation";
import { Mark } from "../../components/marks";
import { Empty, Loading, Unavailable } from "../../components/states";
import { describe } from "../../logic/attempt";
import { printable } from "../../logic/printable";
import { count } from "../../logic/time";

const RANGES = [
  { value: "1", label: "the last hour" }, { value: "24", label: "the last 24 hours" }, { value: "168", label: "the last 7 days" },
];

export function WhatIf({ name, shownName, document, ready }:
  { name: string | null; shownName: string; document: string; ready: boolean }) {
  const [hours, setHours] = useState("24");
  const run = useMutation({
    mutationFn: async () => ({ document, result: await simulate(name, document, Number(hours)) }),
  });
  return (
    <Stack gap="md">
      <Group gap="xs" wrap="nowrap">
        <Select aria-label="How far back" size="xs" w={170} data={RANGES} value={hours} allowDeselect={false}
          onChange={(value) => setHours(value ?? "24")} />
        <Button size="xs" leftSection={<IconPlayerPlay size={14} />} disabled={!ready} loading={run.isPending} onClick={() => run.mutate()}>
          Replay
        </Button>
        {!ready && <Text size="xs" c="dimmed">Only a valid policy can be replayed.</Text>}
      </Group>
      {run.isPending ? <Loading label="Replaying" />
        : run.isError ? <Unavailable error={run.error} />
        : !run.data ? (
          <Empty title={`What would ${printable(shownName) || "this policy"} do?`}>
            Everything that workloads did in that time is decided again, as if this text were in force and enforced. You see
            what it would newly deny, and what it would newly allow.
          </Empty>
        ) : (
          <>
            {run.data.document !== document && (
              <Mark tone="medium">The text has changed since. Replay again.</Mark>
            )}
            <Result simulation={run.data.result} />
          </>
        )}
    </Stack>
  );
}

function Result({ simulation }: { simulation: Simulation }) {
  const sum = (part: (one: WorkloadChanges) => number) => simulation.workloads.reduce((total, one) => total + part(one), 0);
  const denied = sum((one) => one.newlyDenied.length);
  const allowed = sum((one) => one.newlyAllowed.length);
  const other = sum((one) => one.otherwiseDecided.length);
  const undecided = sum((one) => one.undecided);
  const changed = simulation.workloads.filter((one) => one.newlyDenied.length + one.newlyAllowed.length + one.otherwiseDecided.length > 0);
  return (
    <div data-testid="what-if">
      <SimpleGrid cols={3} mb="md">
        <Figure value={denied} label="newly denied" tone={denied > 0 ? "high" : "good"} />
        <Figure value={allowed} label="newly allowed" tone={allowed > 0 ? "medium" : "good"} />
        <Figure value={other} label="decided otherwise" tone="info" />
      </SimpleGrid>
      <Text size="xs" c="dimmed" mb="sm">
        {count(simulation.acts)} different acts of {simulation.workloads.length} workloads were decided again.
        {undecided > 0 && ` ${count(undecided)} could not be: their arguments were not recorded.`}
        {simulation.leftOut > 0 && ` ${count(simulation.leftOut)} more were left out, for there were too many.`}
      </Text>
      {changed.length === 0 ? (
        <Text size="sm">Nothing would have been decided otherwise.</Text>
      ) : (
        <Accordion multiple variant="separated" defaultValue={changed.slice(0, 3).map(key)}>
          {changed.map((workload) => (
            <Accordion.Item key={key(workload)} value={key(workload)}>
              <Accordion.Control>
                <Group gap={8}>
                  <Text size="sm" fw={600}>{printable(`${workload.namespace} / ${workload.name}`)}</Text>
                  {workload.newlyDenied.length > 0 && <Badge color="red" tt="none">{workload.newlyDenied.length} denied</Badge>}
                  {workload.newlyAllowed.length > 0 && <Badge color="yellow" tt="none">{workload.newlyAllowed.length} allowed</Badge>}
                </Group>
              </Accordion.Control>
              <Accordion.Panel>
                <Stack gap="sm">
                  <Changes title="Would be denied" tone="high" changes={workload.newlyDenied} />
                  <Changes title="Would be allowed" tone="medium" changes={workload.newlyAllowed} />
                  <Changes title="Would be decided by another rule, or with another action" tone="info" changes={workload.otherwiseDecided} />
                  {workload.unresolvedUsers.length > 0 && (
                    <Text size="xs" c="dimmed">Users that only the container knows, and that matched nobody here: {printable(workload.unresolvedUsers.join(", "))}</Text>
                  )}
                </Stack>
              </Accordion.Panel>
            </Accordion.Item>
          ))}
        </Accordion>
      )}
    </div>
  );
}

const SHOWN = 50;

function Changes({ title, tone, changes }: { title: string; tone: "high" | "medium" | "info"; changes: Change[] }) {
  if (changes.length === 0) return null;
  return (
    <div>
      <Mark tone={tone}><Text size="xs" fw={600}>{title}</Text></Mark>
      <ul style={{ margin: "4px 0 0", padding: 0, listStyle: "none", display: "grid", gap: 6 }}>
        {changes.slice(0, SHOWN).map((change, index) => {
          const effect = change.after ?? change.before;
          return (
            <li key={index} style={{ fontSize: 13 }}>
              <span className="mono" style={{ overflowWrap: "anywhere" }}>{describe(change.attempt)}</span>
              <Text size="xs" c="dimmed">
                {printable(change.container)}, {count(change.count)}×
                {effect && <>, {change.after ? "by" : "until now by"} {printable(`${effect.policy} / ${effect.rule}`)} ({effect.action})</>}
                {change.event && <>, <Link to={`/events?event=${encodeURIComponent(change.event)}`}>see the event</Link></>}
              </Text>
            </li>
          );
        })}
      </ul>
      {changes.length > SHOWN && <Text size="xs" c="dimmed">and {changes.length - SHOWN} more</Text>}
    </div>
  );
}

function Figure({ value, label, tone }: { value: number; label: string; tone: string }) {
  return (
    <div>
      <Text fz={24} fw={650} lh={1.2} c={`var(--moat-${tone})`} className="number">{count(value)}</Text>
      <Text size="xs" c="dimmed">{label}</Text>
    </div>
  );
}

function key(workload: WorkloadChanges): string {
  return `${workload.namespace}/${workload.kind}/${workload.name}`;
}
