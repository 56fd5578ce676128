// Namespaces, their workloads, and how each is protected.
import { Group, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconBox, IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import { api, body } from "../../api/client";
import type { Workload } from "../../api/types";
import { type Column, DataTable } from "../../components/DataTable";
import { StateMark } from "../../components/marks";
import { Page } from "../../components/Page";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Foreign, Time } from "../../components/text";
import { printable } from "../../logic/printable";

export function workloadPath(workload: { namespace: string; kind: string; name: string }): string {
  return `/workloads/${[workload.namespace, workload.kind, workload.name].map(encodeURIComponent).join("/")}`;
}

const COLUMNS: Column<Workload>[] = [
  { title: "Workload", width: "minmax(130px, 1.6fr)", order: (one) => one.name, cell: (one) => (
    <Link to={workloadPath(one)} onClick={(event) => event.stopPropagation()} style={{ fontWeight: 550 }}><Foreign text={one.name} /></Link>
  ) },
  { title: "Kind", width: "104px", order: (one) => one.kind, cell: (one) => <Foreign text={one.kind} /> },
  { title: "Protection", width: "130px", order: (one) => one.protection, cell: (one) => <StateMark state={one.protection} /> },
  { title: "Containers", from: 800, width: "140px", order: (one) => one.containers, cell: (one) => (
    <span className="number">{one.containers}{one.protected < one.containers && <Text span size="sm" c="dimmed">, {one.protected} protected</Text>}</span>
  ) },
  { title: "Policies", width: "minmax(110px, 1.5fr)", cell: (one) => <Foreign text={one.policies.join(", ")} /> },
  { title: "Images", from: 900, width: "minmax(140px, 1.5fr)", cell: (one) => <Foreign mono text={one.images.join(", ")} /> },
  { title: "Seen", from: 1000, width: "100px", order: (one) => one.seenAt, cell: (one) => <Time at={one.seenAt} relative /> },
];

export default function Workloads() {
  const navigate = useNavigate();
  const [parameters, setParameters] = useSearchParams();
  const protection = parameters.get("protection") as Workload["protection"] | null;
  const policy = parameters.get("policy");
  const namespace = parameters.get("namespace");
  const [text, setText] = useState("");
  const [sought] = useDebouncedValue(text, 250);
  const workloads = useInfiniteQuery({
    queryKey: ["workloads", protection, policy, sought],
    queryFn: ({ pageParam }) => body(api.GET("/workloads", { params: { query: {
      limit: 500, ...(protection ? { protection } : {}), ...(policy ? { policy } : {}), ...(sought ? { text: sought } : {}),
      ...(pageParam ? { cursor: pageParam } : {}),
    } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: 10_000,
  });
  const all = useMemo(() => workloads.data?.pages.flatMap((page) => page.items) ?? [], [workloads.data]);
  const namespaces = useMemo(() => byNamespace(all), [all]);
  const rows = useMemo(() => namespace ? all.filter((one) => one.namespace === namespace) : all, [all, namespace]);
  const set = (name: string, value: string | null) => setParameters((old) => {
    const next = new URLSearchParams(old);
    if (value) next.set(name, value);
    else next.delete(name);
    return next;
  }, { replace: true });
  const columns = useMemo((): Column<Workload>[] => namespace ? COLUMNS : [
    { title: "Namespace", width: "minmax(100px, 0.8fr)", order: (one) => one.namespace, cell: (one) => <Foreign text={one.namespace} /> },
    ...COLUMNS,
  ], [namespace]);

  return (
    <Page title="Workloads" fill about={policy ? <>Those that the policy {printable(policy)} selects. <Link to="/workloads">Show all</Link></>
      : "What runs on the nodes, and how it is protected"}>
      <Group mb="sm" gap="sm">
        <TextInput aria-label="Search workloads" placeholder="Search name or image" leftSection={<IconSearch size={16} />} w={280} value={text}
          onChange={(event) => setText(event.currentTarget.value)} />
        <SegmentedControl aria-label="Protection" size="xs" value={protection ?? ""} onChange={(value) => set("protection", value)}
          data={[{ value: "", label: "All" }, "Protected", "Audit", "Unprotected"]} />
      </Group>
      {workloads.isPending ? <Loading label="Loading workloads" />
        : workloads.isError ? <Unavailable error={workloads.error} retry={() => void workloads.refetch()} /> : (
          <div style={{ flex: 1, minHeight: 0, display: "flex", gap: 16 }}>
            <nav className="panel" aria-label="Namespaces" style={{ width: 220, padding: 10, overflow: "auto", flexShrink: 0 }}>
              <Stack gap={2}>
                <Namespace name="All namespaces" number={all.length} open={0} active={!namespace} choose={() => set("namespace", null)} />
                {namespaces.map(([name, { number, open }]) => (
                  <Namespace key={name} name={name} number={number} open={open} active={namespace === name} choose={() => set("namespace", name)} />
                ))}
              </Stack>
            </nav>
            <div style={{ flex: 1, minWidth: 0, display: "flex", flexDirection: "column" }}>
              <DataTable label="Workloads" fill rows={rows} columns={columns} rowKey={(one) => workloadPath(one)}
                onOpen={(one) => void navigate(workloadPath(one))}
                onEnd={() => workloads.hasNextPage && !workloads.isFetchingNextPage && void workloads.fetchNextPage()}
                empty={sought || protection || policy ? <Empty title="No workload is like that" /> : (
                  <Empty icon={<IconBox size={40} stroke={1.3} />} title="No workloads yet" action={<Link to="/enforcers">Enrol a node</Link>}>
                    Containers appear here as soon as the enforcer of their node has told of them.
                  </Empty>
                )} />
            </div>
          </div>
        )}
    </Page>
  );
}

function Namespace({ name, number, open, active, choose }:
  { name: string; number: number; open: number; active: boolean; choose: () => void }) {
  return (
    <button type="button" onClick={choose} aria-pressed={active} className={`nav-link${active ? " active" : ""}`}
      style={{ border: 0, font: "inherit", cursor: "pointer", textAlign: "left", ...(active ? {} : { background: "none" }) }}>
      <span className="ellipsis" style={{ flex: 1 }} title={printable(name)}>{printable(name)}</span>
      <span className="number label" title={open > 0 ? `${open} of ${number} unprotected` : undefined}>
        {open > 0 ? `${open} open / ${number}` : number}
      </span>
    </button>
  );
}

function byNamespace(workloads: readonly Workload[]): [string, { number: number; open: number }][] {
  const found = new Map<string, { number: number; open: number }>();
  for (const { namespace, protection } of workloads) {
    const counts = found.get(namespace) ?? { number: 0, open: 0 };
    counts.number += 1;
    if (protection === "Unprotected") counts.open += 1;
    found.set(namespace, counts);
  }
  return [...found].sort(([left], [right]) => left.localeCompare(right));
}
