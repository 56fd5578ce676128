import { ActionIcon, Group, NumberInput, Select, Table, Text } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { api } from "../../api/client";
import type { components } from "../../api/schema";
import { EVENT_TYPES } from "../../logic/eventFilter";
import { SettingForm, versioned } from "./SettingForm";

type Retention = components["schemas"]["Retention"];
type Limit = components["schemas"]["RetentionLimit"];
type EventType = components["schemas"]["EventType"];

export function Retention() {
  return (
    <SettingForm<Retention> name="retention" title="How long events are kept" read={() => versioned(api.GET("/settings/retention"))}
      write={(body, header) => api.PUT("/settings/retention", { params: { header }, body })}>
      {(value, change) => {
        const types = Object.entries(value.types ?? {}) as [EventType, Limit][];
        const left = EVENT_TYPES.filter((type) => !types.some(([name]) => name === type));
        const withType = (type: EventType, limit: Limit | null) => {
          const next = { ...value.types };
          if (limit) next[type] = limit;
          else delete next[type];
          change({ ...value, types: next });
        };
        return (
          <>
            <Text size="sm" c="dimmed">Events go when they are older than the days, or when there are more of their type than the number: the oldest first.</Text>
            <Table verticalSpacing={6} withRowBorders={false}>
              <Table.Thead><Table.Tr><Table.Th>Type</Table.Th><Table.Th>Days</Table.Th><Table.Th>Most events</Table.Th><Table.Th aria-label="Remove" /></Table.Tr></Table.Thead>
              <Table.Tbody>
                <Row label="All others" limit={value.default} change={(limit) => change({ ...value, default: limit })} />
                {types.map(([type, limit]) => (
                  <Row key={type} label={type} limit={limit} change={(next) => withType(type, next)} remove={() => withType(type, null)} />
                ))}
              </Table.Tbody>
            </Table>
            {left.length > 0 && (
              <Group><Select aria-label="A type with limits of its own" placeholder="Limits of its own for" data={left} value={null} w={240}
                onChange={(type) => type && withType(type as EventType, value.default)} /></Group>
            )}
          </>
        );
      }}
    </SettingForm>
  );
}

function Row({ label, limit, change, remove }: { label: string; limit: Limit; change: (limit: Limit) => void; remove?: () => void }) {
  return (
    <Table.Tr>
      <Table.Td>{label}</Table.Td>
      <Table.Td><NumberInput aria-label={`Days: ${label}`} size="xs" min={1} max={36_500} value={limit.days}
        onChange={(days) => change({ ...limit, days: Number(days) || 1 })} /></Table.Td>
      <Table.Td><NumberInput aria-label={`Most events: ${label}`} size="xs" min={1} thousandSeparator="," value={limit.maxRows}
        onChange={(rows) => change({ ...limit, maxRows: Number(rows) || 1 })} /></Table.Td>
      <Table.Td w={40}>{remove && (
        <ActionIcon variant="subtle" color="gray" aria-label={`No limits of its own for ${label}`} onClick={remove}><IconTrash size={16} /></ActionIcon>
      )}</Table.Td>
    </Table.Tr>
  );
}
