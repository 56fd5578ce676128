// All policies, the console's own and those of the nodes' folders, and how far each has come.
import { Button, Group, TextInput } from "@mantine/core";
import { IconLayoutGrid, IconPlus, IconSearch, IconServer, IconShield } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useNavigate } from "react-router";
import { api, body } from "../../api/client";
import type { NodePolicySummary, PolicySource, PolicySummary } from "../../api/types";
import { useMay } from "../../app/session";
import { CoverageBar } from "../../components/CoverageBar";
import { type Column, DataTable } from "../../components/DataTable";
import { Mark, StateMark } from "../../components/marks";
import { Page } from "../../components/Page";
import { policyPath } from "../../components/PolicyLink";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Foreign, Time } from "../../components/text";

export const nodePolicies = {
  queryKey: ["node-policies"], queryFn: () => body(api.GET("/node-policies")), refetchInterval: 5_000,
};

/** What both kinds of policies have; and of a console's own, its history. */
type Row = Omit<NodePolicySummary, "versions"> & { source: PolicySource; own: PolicySummary | null; versions: number };

function path({ name, source, kind }: Row): string {
  return policyPath(name, source, kind);
}

const COLUMNS: Column<Row>[] = [
  { title: "Name", width: "minmax(170px, 1.6fr)", order: (policy) => policy.name,
    cell: (policy) => <Link to={path(policy)} onClick={(event) => event.stopPropagation()}
      style={{ fontWeight: 550 }}><Foreign text={policy.name} /></Link> },
  { title: "Mode", width: "112px", order: (policy) => policy.mode ?? "", cell: (policy) => policy.mode === "Enforce"
    ? <StateMark state="Enforce">{policy.enforceAfter ? "Enforce later" : "Enforce"}</StateMark>
    : policy.mode === "Audit" ? <StateMark state="Audit" /> : <Mark tone="info">{policy.kind}</Mark> },
  { title: "Rules", width: "minmax(120px, 1fr)", order: (policy) => policy.rules,
    cell: (policy) => <span className="ellipsis" style={{ display: "block" }}>{policy.rules} · {policy.actions.join(", ")}</span> },
  { title: "Containers", width: "80px", order: (policy) => policy.coverage.containers,
    cell: (policy) => <span className="number">{policy.coverage.containers}</span> },
  { title: "In force on nodes", width: "minmax(200px, 1.2fr)",
    order: (policy) => policy.coverage.enforced - policy.coverage.refused,
    cell: (policy) => <CoverageBar coverage={policy.coverage} /> },
  { title: "Revision", width: "72px", from: 1100, order: (policy) => policy.own?.revision ?? 0,
    cell: ({ own }) => <span className="number">{own?.revision ?? ""}</span> },
  { title: "Changed", width: "minmax(140px, 1fr)", order: (policy) => policy.own?.updatedAt ?? "",
    cell: ({ own, versions }) => own
      ? <span className="ellipsis" style={{ display: "block" }}><Time at={own.updatedAt} relative /> by {own.updatedBy}</span>
      : <Mark tone="info" icon={<IconServer size={15} />}>{versions > 1 ? `on nodes, ${versions} kinds` : "on the nodes"}</Mark> },
];

export default function Policies() {
  const navigate = useNavigate();
  const operator = useMay("Operator");
  const [text, setText] = useState("");
  const policies = useQuery({
    queryKey: ["policies"], queryFn: () => body(api.GET("/policies")), refetchInterval: 5_000,
  });
  const own = useQuery(nodePolicies);
  const rows = useMemo((): Row[] => [
    ...(policies.data?.items ?? []).map((policy): Row => ({ ...policy, mode: policy.mode ?? null, enforceAfter: policy.enforceAfter ?? null,
      source: "Console", own: policy, versions: 1 })),
    ...(own.data?.items ?? []).map((policy): Row => ({ ...policy, source: "Node", own: null })),
  ].filter((policy) => policy.name.toLowerCase().includes(text.toLowerCase())).sort((a, b) => a.name.localeCompare(b.name)),
    [policies.data, own.data, text]);
  const create = operator && (
    <Button leftSection={<IconPlus size={16} />} component={Link} to="/policies/new">New policy</Button>
  );
  return (
    <Page title="Policies" about="What workloads may execute, read, write, connect to and run from"
      actions={<>
        <Button variant="default" leftSection={<IconLayoutGrid size={16} />} component={Link} to="/policies/templates">Templates</Button>
        {create}
      </>}>
      <Group mb="sm">
        <TextInput aria-label="Search policies" placeholder="Search" leftSection={<IconSearch size={16} />} w={280} value={text}
          onChange={(event) => setText(event.currentTarget.value)} />
      </Group>
      {policies.isPending || own.isPending ? <Loading label="Loading policies" />
        : own.isError ? <Unavailable error={own.error} retry={() => void own.refetch()} />
        : policies.isError ? <Unavailable error={policies.error} retry={() => void policies.refetch()} />
        : <DataTable label="Policies" rows={rows} columns={COLUMNS} rowKey={path}
            onOpen={(policy) => void navigate(path(policy))}
            empty={text ? <Empty title="No policy has such a name" /> : (
              <Empty icon={<IconShield size={40} stroke={1.3} />} title="No policies yet"
                action={<Group gap="xs">{create}<Button variant="default" component={Link} to="/policies/templates">Start from a template</Button></Group>}>
                A policy selects workloads and says what they may not do. Start in audit mode: it reports what it would stop.
                Policies that stand as files in a node’s own folder are shown here, too.
              </Empty>
            )} />}
    </Page>
  );
}
