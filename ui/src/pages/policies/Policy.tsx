// One policy: how far it has come, what it says, and how it came to be so.
import { Alert, Badge, Button, Code, Group, Select, SimpleGrid, Stack, Tabs, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconActivity, IconEdit, IconHistory, IconTrash } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, Navigate, useNavigate, useParams, useSearchParams } from "react-router";
import { api, asProblem, body, ifMatch } from "../../api/client";
import type { Policy as PolicyDocument, PolicyRevision, PolicyStatus } from "../../api/types";
import { useMay } from "../../app/session";
import { ConfirmButton } from "../../components/confirm";
import { CoverageBar } from "../../components/CoverageBar";
import { type Column, DataTable } from "../../components/DataTable";
import { DiffView } from "../../components/DiffView";
import { StateMark } from "../../components/marks";
import { Page, Panel } from "../../components/Page";
import { PolicyLink, policyPath } from "../../components/PolicyLink";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Fact, Foreign, Time } from "../../components/text";
import { printable } from "../../logic/printable";
import { nodePolicies } from "./Policies";

export default function Policy() {
  const { name = "" } = useParams();
  const policy = useQuery({
    queryKey: ["policy", name],
    queryFn: () => body(api.GET("/policies/{name}", { params: { path: { name } } })),
    refetchInterval: 5_000,
  });
  if (policy.isPending) return <Page title={name}><Loading label="Loading the policy" /></Page>;
  if (policy.isError) {
    return asProblem(policy.error).status === 404 ? <Elsewhere name={name} error={policy.error} />
      : <Page title={name}><Unavailable error={policy.error} retry={() => void policy.refetch()} /></Page>;
  }
  return <Whole key={name} policy={policy.data} />;
}

/** Not a policy of the console's: one of the nodes' folders, or none at all. */
function Elsewhere({ name, error }: { name: string; error: unknown }) {
  const own = useQuery(nodePolicies);
  if (own.isPending) return <Page title={name}><Loading label="Looking for the policy on the nodes" /></Page>;
  const found = own.data?.items.find((one) => one.name === name);
  if (found) return <Navigate to={policyPath(name, "Node", found.kind)} replace />;
  return <Page title={name}><Unavailable error={error} /></Page>;
}

/** Nodes go by their own folder first. */
function Shadowed({ policy }: { policy: PolicyDocument }) {
  const own = useQuery(nodePolicies);
  const found = own.data?.items.find((one) => one.name === policy.name && one.kind === policy.kind);
  if (!found) return null;
  const { nodes } = found.coverage;
  return (
    <Alert color="yellow" mb="md" title={`${nodes} ${nodes === 1 ? "node has" : "nodes have"} a policy of this name in ${nodes === 1 ? "its" : "their"} own folder`}>
      There that one is in force, and not this. <PolicyLink name={policy.name} source="Node">See what it says</PolicyLink>
    </Alert>
  );
}

function Whole({ policy }: { policy: PolicyDocument }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const operator = useMay("Operator");
  const [parameters, setParameters] = useSearchParams();
  const path = { name: policy.name };
  const encoded = encodeURIComponent(policy.name);
  const remove = async () => {
    await body(api.DELETE("/policies/{name}", { params: { path, header: ifMatch(policy.revision) } }));
    await queries.invalidateQueries({ queryKey: ["policies"] });
    notifications.show({ message: `${policy.name} is deleted. Its history stays.` });
    void navigate("/policies");
  };
  return (
    <Page title={policy.name}
      about={<>Revision {policy.revision}, <Time at={policy.updatedAt} relative /> by {printable(policy.updatedBy)}</>}
      actions={<>
        <Button variant="default" leftSection={<IconActivity size={16} />} component={Link} to={`/events?policies=${encoded}`}>Events</Button>
        {operator && (
          <ConfirmButton label="Delete" icon={<IconTrash size={16} />} title={`Delete ${policy.name}?`} confirm="Delete" act={remove}>
            <Text size="sm">{policy.coverage.containers} running containers lose its rules as soon as their nodes have heard of it.
              The history stays, and a new policy of this name goes on with it.</Text>
          </ConfirmButton>
        )}
        {operator && (
          <Button leftSection={<IconEdit size={16} />} component={Link} to={`/policies/${encoded}/edit`}>Edit</Button>
        )}
      </>}>
      <Shadowed policy={policy} />
      <Panel style={{ marginBottom: 16 }}>
        <SimpleGrid cols={{ base: 2, md: 5 }}>
          <Fact label="Mode">{policy.mode ? <StateMark state={policy.mode} /> : policy.kind}
            {policy.enforceAfter && <Text size="xs" c="dimmed">enforced after {policy.enforceAfter}</Text>}</Fact>
          <Fact label="Rules">{policy.rules}</Fact>
          <Fact label="Actions">{policy.actions.join(", ") || "none"}</Fact>
          <Fact label="Selected containers"><Link to={`/workloads?policy=${encoded}`}>{policy.coverage.containers}</Link></Fact>
          <Fact label="In force on nodes"><CoverageBar coverage={policy.coverage} /></Fact>
        </SimpleGrid>
      </Panel>
      <Tabs value={parameters.get("tab") ?? "document"} keepMounted={false}
        onChange={(tab) => setParameters(tab && tab !== "document" ? { tab } : {}, { replace: true })}>
        <Tabs.List mb="md">
          <Tabs.Tab value="document">Document</Tabs.Tab>
          <Tabs.Tab value="nodes">Nodes</Tabs.Tab>
          <Tabs.Tab value="history">History</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="document">
          <Panel><Code block fz={13} bg="transparent" p={0} tabIndex={0}>{policy.document}</Code></Panel>
        </Tabs.Panel>
        <Tabs.Panel value="nodes"><Nodes name={policy.name} revision={policy.revision} /></Tabs.Panel>
        <Tabs.Panel value="history"><History policy={policy} /></Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Nodes({ name, revision }: { name: string; revision: number }) {
  const status = useQuery({
    queryKey: ["policy-status", name],
    queryFn: () => body(api.GET("/policies/{name}/status", { params: { path: { name } } })),
    refetchInterval: 5_000,
  });
  const columns: Column<PolicyStatus>[] = [
    { title: "Node", width: "minmax(140px, 1fr)", order: (one) => one.node, cell: (one) => <Foreign text={one.node} /> },
    { title: "State", width: "120px", order: (one) => one.state, cell: (one) => <StateMark state={one.state} /> },
    { title: "Revision", width: "150px", order: (one) => one.revision, cell: (one) => one.revision === revision ? one.revision
      : <Text span size="sm" c="dimmed">{one.revision === 0 ? "none yet" : `${one.revision}, behind`}</Text> },
    { title: "Containers", width: "100px", order: (one) => one.containers, cell: (one) => one.containers },
    { title: "Why", width: "minmax(260px, 3fr)", cell: (one) => <Foreign text={one.reasons.join("; ")} /> },
  ];
  if (status.isPending) return <Loading label="Loading the nodes" />;
  if (status.isError) return <Unavailable error={status.error} retry={() => void status.refetch()} />;
  return (
    <DataTable label="Nodes" rows={status.data.items} columns={columns} rowKey={(one) => one.enforcerId}
      empty={<Empty title="No enforcers" action={<Link to="/enforcers">Enrol one</Link>}>A policy is held where an enforcer runs.</Empty>} />
  );
}

function History({ policy }: { policy: PolicyDocument }) {
  const queries = useQueryClient();
  const operator = useMay("Operator");
  const path = { name: policy.name };
  const [from, setFrom] = useState<number | null>(null);
  const [to, setTo] = useState(policy.revision);
  const history = useQuery({
    queryKey: ["policy-history", policy.name, policy.revision],
    queryFn: () => body(api.GET("/policies/{name}/revisions", { params: { path } })),
  });
  const older = from ?? Math.max(1, to - 1);
  const diff = useQuery({
    queryKey: ["policy-diff", policy.name, older, to],
    queryFn: () => body(api.GET("/policies/{name}/diff", { params: { path, query: { from: older, to } } })),
    enabled: policy.revision > 1,
  });
  if (history.isPending) return <Loading label="Loading the history" />;
  if (history.isError) return <Unavailable error={history.error} retry={() => void history.refetch()} />;
  const rollBack = async (revision: number) => {
    await body(api.POST("/policies/{name}/rollback", {
      params: { path, header: ifMatch(policy.revision) }, body: { revision, note: `Back to revision ${revision}` },
    }));
    await queries.invalidateQueries({ queryKey: ["policy", policy.name] });
    notifications.show({ message: `${policy.name} says again what revision ${revision} said.` });
  };
  const numbers = history.data.items.map((one) => String(one.revision));
  return (
    <div style={{ display: "grid", gap: 16, gridTemplateColumns: "minmax(320px, 2fr) minmax(0, 3fr)", alignItems: "start" }}>
      <Panel title="Revisions">
        <Stack gap={14}>
          {history.data.items.map((one) => (
            <Revision key={one.revision} one={one} current={one.revision === policy.revision}
              compare={() => { setFrom(one.revision); setTo(policy.revision); }}
              rollBack={operator && one.revision !== policy.revision && one.action !== "Deleted" ? (
                <ConfirmButton size="xs" variant="subtle" color="water" label="Roll back" title={`Go back to revision ${one.revision}?`}
                  confirm="Roll back" act={() => rollBack(one.revision)}>
                  <Text size="sm" mb="sm">Its document becomes revision {policy.revision + 1}. Nothing of the history is lost. This changes:</Text>
                  <RevisionDiff name={policy.name} from={policy.revision} to={one.revision} />
                </ConfirmButton>
              ) : null} />
          ))}
        </Stack>
      </Panel>
      <Panel title="What changed" aside={numbers.length > 1 && (
        <Group gap={8} wrap="nowrap">
          <Select aria-label="From revision" size="xs" w={80} data={numbers} value={String(older)} allowDeselect={false}
            onChange={(value) => setFrom(Number(value))} />
          <Text size="sm" c="dimmed">to</Text>
          <Select aria-label="To revision" size="xs" w={80} data={numbers} value={String(to)} allowDeselect={false}
            onChange={(value) => setTo(Number(value))} />
        </Group>
      )}>
        {policy.revision === 1 ? <Text size="sm" c="dimmed">This is the first revision.</Text>
          : diff.isPending ? <Loading label="Comparing" />
          : diff.isError ? <Unavailable error={diff.error} />
          : <DiffView unified={diff.data.unified} />}
      </Panel>
    </div>
  );
}

function Revision({ one, current, compare, rollBack }:
  { one: PolicyRevision; current: boolean; compare: () => void; rollBack: React.ReactNode }) {
  const words = { Created: "Created", Updated: "Changed", RolledBack: "Rolled back", Deleted: "Deleted" }[one.action] ?? one.action;
  return (
    <Group justify="space-between" wrap="nowrap" align="flex-start" data-testid={`revision-${one.revision}`}>
      <div style={{ minWidth: 0 }}>
        <Group gap={8}><Text fw={600} size="sm" className="number">{one.revision}</Text><Text size="sm">{words}</Text>
          {current && <Badge size="sm" color="water">in force</Badge>}</Group>
        <Text size="xs" c="dimmed"><Time at={one.at} /> by {printable(one.by)}</Text>
        {one.note && <Text size="sm" mt={2} style={{ overflowWrap: "anywhere" }}>{printable(one.note)}</Text>}
      </div>
      {!current && (
        <Group gap={0} wrap="nowrap">
          <Button size="xs" variant="subtle" leftSection={<IconHistory size={14} />} onClick={compare}>Compare</Button>
          {rollBack}
        </Group>
      )}
    </Group>
  );
}

function RevisionDiff({ name, from, to }: { name: string; from: number; to: number }) {
  const diff = useQuery({
    queryKey: ["policy-diff", name, from, to],
    queryFn: () => body(api.GET("/policies/{name}/diff", { params: { path: { name }, query: { from, to } } })),
  });
  if (diff.isPending) return <Loading label="Comparing" />;
  if (diff.isError) return <Unavailable error={diff.error} />;
  return <DiffView unified={diff.data.unified} />;
}
