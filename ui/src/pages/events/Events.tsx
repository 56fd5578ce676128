// Everything that happened, live. The filter is in the address; so is the event whose story is open.
import { ActionIcon, Alert, Badge, Button, Group, Kbd, MultiSelect, Select, Text, TextInput, Tooltip } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { IconActivity, IconArrowUp, IconPlayerPause, IconPlayerPlay, IconSearch, IconX } from "@tabler/icons-react";
import { useCallback, useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import type { EventRecord } from "../../api/types";
import { type Column, DataTable } from "../../components/DataTable";
import { ActionMark, SEVERITIES, SeverityMark } from "../../components/marks";
import { Page } from "../../components/Page";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Foreign, Time } from "../../components/text";
import { EVENT_ACTIONS, type EventFilter, fromAddress, LISTS, toAddress, typed, without } from "../../logic/eventFilter";
import { commandLine, printable } from "../../logic/printable";
import { count } from "../../logic/time";
import { EventStory } from "./EventStory";
import { useEvents } from "./useEvents";

const TYPES = ["ProcessExec", "FileAccess", "NetworkConnection", "Syscall", "PrivilegedOperation", "Drift", "System"];
const RANGES = [
  { value: "1", label: "Last hour" }, { value: "24", label: "Last 24 hours" }, { value: "168", label: "Last 7 days" },
  { value: "", label: "All that is kept" },
];

export default function Events() {
  const [parameters, setParameters] = useSearchParams();
  const selected = parameters.get("event");
  const address = useMemo(() => {
    const rest = new URLSearchParams(parameters);
    rest.delete("event");
    return rest.toString();
  }, [parameters]);
  const filter = useMemo(() => fromAddress(new URLSearchParams(address)), [address]);
  const change = useCallback((next: EventFilter) => {
    const rest = toAddress(next);
    if (selected) rest.set("event", selected);
    setParameters(rest);
  }, [selected, setParameters]);
  const open = useCallback((id: string | null) => setParameters((old) => {
    const next = new URLSearchParams(old);
    if (id) next.set("event", id);
    else next.delete("event");
    return next;
  }, { replace: selected !== null }), [selected, setParameters]);

  const [paused, setPaused] = useState(false);
  const [away, setAway] = useState(false);
  const scroller = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const events = useEvents(address, paused || away);
  useHotkeys([
    ["p", () => setPaused((value) => !value)],
    ["/", () => search.current?.focus()],
    ["Escape", () => open(null)],
  ]);
  const toTop = () => {
    scroller.current?.scrollTo({ top: 0 });
    setPaused(false);
    setAway(false);
    events.release();
  };
  const exact = filter.from ?? filter.to;

  return (
    <Page title="Events" fill
      about={<span className="number" data-testid="event-count">{count(events.rows.length)}{events.more ? "+" : ""} shown, newest first</span>}
      actions={<>
        <LiveMark state={paused ? "paused" : events.state} />
        <Tooltip label={<>{paused ? "Go on" : "Hold still"} <Kbd size="xs">p</Kbd></>}>
          <Button variant="default" onClick={() => setPaused(!paused)} aria-pressed={paused}
            leftSection={paused ? <IconPlayerPlay size={16} /> : <IconPlayerPause size={16} />}>
            {paused ? "Resume" : "Pause"}
          </Button>
        </Tooltip>
      </>}>
      <Group gap="xs" mb="sm" wrap="nowrap">
        <SearchBox key={filter.text ?? ""} filter={filter} change={change} inputRef={search} />
        <Select aria-label="Least severity" placeholder="Any severity" clearable w={150} data={SEVERITIES}
          value={filter.severity ?? null}
          onChange={(value) => change(value ? { ...filter, severity: value } : without(filter, "severity"))} />
        <Choice label="type" data={TYPES} value={filter.types} onChange={(types) => change({ ...filter, types })} />
        <Choice label="action" data={[...EVENT_ACTIONS]} value={filter.actions} onChange={(actions) => change({ ...filter, actions })} />
        <Select aria-label="Time" w={165} allowDeselect={false} data={exact ? [...RANGES, { value: "exact", label: "Chosen range" }] : RANGES}
          value={exact ? "exact" : String(filter.hours ?? "")}
          onChange={(value) => {
            if (value === "exact") return;
            const rest = without(without(without(filter, "from"), "to"), "hours");
            change(value ? { ...rest, hours: Number(value) } : rest);
          }} />
      </Group>
      <Chips filter={filter} change={change} />
      {events.missed !== null && (
        <Alert color="yellow" py={8} mb="sm" withCloseButton onClose={events.reload} closeButtonLabel="Load again"
          title={events.missed > 0 ? `${count(events.missed)} events were passed over` : "Some events may have been passed over"}>
          This page was too slow or away for too long, or they are very large. They are stored: close this to load the list again.
        </Alert>
      )}
      <div style={{ flex: 1, minHeight: 0, display: "flex", gap: 16 }}>
        <div style={{ flex: 1, minWidth: 0, display: "flex", flexDirection: "column", position: "relative" }}>
          {events.waiting > 0 && (
            <Button size="xs" radius="xl" leftSection={<IconArrowUp size={14} />} onClick={toTop}
              style={{ position: "absolute", top: 46, left: "50%", transform: "translateX(-50%)", zIndex: 5,
                boxShadow: "var(--mantine-shadow-md)" }}>
              {count(events.waiting)} new
            </Button>
          )}
          {events.pending ? (
            <>
              <Loading label="Loading events" />
              {events.searchedTo && <Text ta="center" size="sm" c="dimmed">Nothing found back to <Time at={events.searchedTo} />, searching on</Text>}
            </>
          )
            : events.error ? <Unavailable error={events.error} retry={events.reload} />
            : <DataTable label="Events" fill rows={events.rows} columns={selected ? NARROW : COLUMNS}
                rowKey={(row) => row.event.id} selected={selected} rowHeight={38}
                onOpen={(row) => open(row.event.id === selected ? null : row.event.id)}
                onEnd={events.loadMore} scroller={scroller}
                onScroll={(fromTop) => {
                  const down = fromTop > 4;
                  if (down !== away) setAway(down);
                  if (!down && !paused) events.release();
                }}
                empty={<Nothing filtered={address !== ""} clear={() => change({})} />} />}
        </div>
        {selected && <EventStory id={selected} close={() => open(null)} />}
      </div>
    </Page>
  );
}

const COLUMNS: Column<EventRecord>[] = [
  { title: "Time", width: "122px", cell: ({ event }) => <Time at={event.timestamp} /> },
  { title: "Severity", width: "82px", cell: ({ event }) => <SeverityMark severity={event.severity} /> },
  { title: "Action", width: "124px", cell: ({ event }) => <ActionMark action={event.action} /> },
  { title: "What happened", width: "minmax(190px, 2.2fr)", cell: ({ event }) => (
    <span className="ellipsis" style={{ display: "block" }} title={printable(event.message)}>
      {printable(event.message)}{event.count !== undefined && event.count > 1 && <Badge ml={8} color="gray" size="sm">×{event.count}</Badge>}
    </span>
  ) },
  { title: "Command", width: "minmax(96px, 1.2fr)", cell: ({ event }) => (
    <Foreign mono text={event.process ? commandLine(event.process.arguments?.length ? event.process.arguments : [event.process.executable]) : ""} />
  ) },
  { title: "Where", width: "minmax(110px, 1fr)", cell: ({ event }) => (
    <Foreign text={[event.namespace, event.podName ?? event.node, event.containerName === event.podName ? undefined : event.containerName]
      .filter(Boolean).join(" / ")} />
  ) },
  { title: "Policy", width: "minmax(88px, 0.8fr)", cell: ({ event }) => <Foreign text={event.policyName ?? ""} /> },
];
/** Beside an open story, which says the rest. */
const NARROW: Column<EventRecord>[] = [
  { title: "Time", width: "64px", cell: ({ event }) => <Time at={event.timestamp} clock /> },
  { title: "", width: "16px", cell: ({ event }) => <SeverityMark severity={event.severity} short /> },
  ...COLUMNS.filter(({ title }) => title === "Action" || title === "What happened"),
];

function SearchBox({ filter, change, inputRef }:
  { filter: EventFilter; change: (filter: EventFilter) => void; inputRef: React.RefObject<HTMLInputElement | null> }) {
  const [text, setText] = useState(filter.text ?? "");
  return (
    <form role="search" style={{ flex: 1, minWidth: 180 }} onSubmit={(event) => {
      event.preventDefault();
      change(typed(filter, text));
    }}>
      <TextInput ref={inputRef} aria-label="Search events" placeholder="Search, or policy:no-shells pod:web-0"
        leftSection={<IconSearch size={16} />} value={text} onChange={(event) => setText(event.currentTarget.value)}
        rightSection={text === "" ? <Kbd size="xs">/</Kbd> : (
          <ActionIcon variant="subtle" color="gray" size="sm" aria-label="Clear the search"
            onClick={() => { setText(""); change(without(filter, "text")); }}><IconX size={14} /></ActionIcon>
        )} />
    </form>
  );
}

function Choice({ label, data, value, onChange }:
  { label: string; data: string[]; value: string[] | undefined; onChange: (value: string[]) => void }) {
  return (
    <MultiSelect aria-label={`Only this ${label}`} placeholder={value?.length ? "" : `Any ${label}`} data={data} value={value ?? []}
      onChange={onChange} w={170} clearable size="sm" hidePickedOptions={false}
      styles={{ pillsList: { flexWrap: "nowrap", overflow: "hidden" }, inputField: { minWidth: 30 } }} />
  );
}

/** Conditions that have no field of their own, each with a way to take it away. */
function Chips({ filter, change }: { filter: EventFilter; change: (filter: EventFilter) => void }) {
  const lists = LISTS.filter((name) => name !== "types" && name !== "actions");
  const chips = lists.flatMap((name) => (filter[name] ?? []).map((value) => ({ name, value })));
  if (chips.length === 0 && !filter.enforcer) return null;
  return (
    <Group gap={6} mb="sm">
      {chips.map(({ name, value }) => (
        <Button key={`${name} ${value}`} size="compact-xs" variant="default" rightSection={<IconX size={12} />}
          aria-label={`Any ${name} instead of ${printable(value)}`} onClick={() => change(without(filter, name, value))}>
          {name}: {printable(value)}
        </Button>
      ))}
      {filter.enforcer && (
        <Button size="compact-xs" variant="default" rightSection={<IconX size={12} />}
          onClick={() => change(without(filter, "enforcer"))}>enforcer: {filter.enforcer.slice(0, 8)}</Button>
      )}
    </Group>
  );
}

const STATES = {
  live: ["var(--moat-good)", "Live"],
  connecting: ["var(--moat-medium)", "Connecting"],
  interrupted: ["var(--moat-critical)", "Interrupted"],
  paused: ["var(--moat-info)", "Paused"],
} as const;

function LiveMark({ state }: { state: keyof typeof STATES }) {
  const [color, words] = STATES[state];
  return (
    <Group gap={7} role="status" data-testid="live" wrap="nowrap" pr={6}>
      <span aria-hidden style={{ width: 8, height: 8, borderRadius: 4, background: color }} />
      <span style={{ fontWeight: 550, color }}>{words}</span>
    </Group>
  );
}

function Nothing({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  return filtered ? (
    <Empty title="No event is like that" action={<Button variant="default" onClick={clear}>Show all events</Button>}>
      Take a condition away, or look further back.
    </Empty>
  ) : (
    <Empty icon={<IconActivity size={40} stroke={1.3} />} title="Quiet so far">
      An event appears here within a second when a policy refuses something, or would have. Try it: run{" "}
      <span className="mono">kubectl exec</span> into a pod that a policy selects.
    </Empty>
  );
}
