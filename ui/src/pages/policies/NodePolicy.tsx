// A policy that nodes have in their own folders: shown as it is there, changed there.
import { Alert, Button, Code, Group, Stack, Text } from "@mantine/core";
import { IconActivity, IconServer } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { api, body } from "../../api/client";
import type { NodePolicyPlace, NodePolicyVersion } from "../../api/types";
import { type Column, DataTable } from "../../components/DataTable";
import { StateMark } from "../../components/marks";
import { Page, Panel } from "../../components/Page";
import { Loading, Unavailable } from "../../components/states";
import { Fact, Foreign, Time } from "../../components/text";
import { printable } from "../../logic/printable";

export default function NodePolicy() {
  const { kind = "", name = "" } = useParams();
  const path = { kind, name };
  const policy = useQuery({
    queryKey: ["node-policy", kind, name],
    queryFn: () => body(api.GET("/node-policies/{kind}/{name}", { params: { path } })),
    refetchInterval: 5_000,
  });
  return (
    <Page title={printable(name)} about="From the nodes’ own folders. It is changed there; this console only shows it."
      actions={<Button variant="default" leftSection={<IconActivity size={16} />} component={Link}
        to={`/events?policies=${encodeURIComponent(name)}`}>Events</Button>}>
      {policy.isPending ? <Loading label="Loading the policy" />
        : policy.isError ? <Unavailable error={policy.error} retry={() => void policy.refetch()} />
        : (
          <Stack gap="md">
            {policy.data.versions.length > 1 && (
              <Alert color="yellow" title={`The nodes have ${policy.data.versions.length} different policies of this name`}>
                Each is in force where it stands. What most nodes have comes first.
              </Alert>
            )}
            {policy.data.versions.map((version) => <Version key={version.document} kind={kind} name={name} version={version} />)}
          </Stack>
        )}
    </Page>
  );
}

const PLACES: Column<NodePolicyPlace>[] = [
  { title: "Node", width: "minmax(120px, 1fr)", order: (one) => one.node, cell: (one) => (
    <Link to={`/enforcers?enforcer=${one.enforcerId}`}><Foreign text={one.node} /></Link>
  ) },
  { title: "State", width: "116px", order: (one) => one.state, cell: (one) => <StateMark state={one.state} /> },
  { title: "Containers", width: "84px", order: (one) => one.containers, cell: (one) => <span className="number">{one.containers}</span> },
  { title: "File", width: "minmax(180px, 2fr)", order: (one) => one.file, cell: (one) => <Foreign mono text={one.file} /> },
  { title: "There since", from: 900, width: "130px", order: (one) => one.firstSeen, cell: (one) => <Time at={one.firstSeen} /> },
];

const WHY: Column<NodePolicyPlace> = {
  title: "Why", width: "minmax(160px, 2fr)", cell: (one) => <Foreign text={one.reasons.join("; ")} />,
};

function Version({ kind, name, version }: { kind: string; name: string; version: NodePolicyVersion }) {
  const containers = version.nodes.reduce((sum, one) => sum + one.containers, 0);
  const columns = version.nodes.some((one) => one.reasons.length > 0) ? [...PLACES, WHY] : PLACES;
  return (
    <>
      <Panel>
        <div style={{ display: "grid", gap: 16, gridTemplateColumns: "repeat(auto-fit, minmax(150px, 1fr))" }}>
          <Fact label="Mode">{version.mode ? <StateMark state={version.mode} /> : printable(kind)}
            {version.enforceAfter && <Text size="xs" c="dimmed">enforced after {version.enforceAfter}</Text>}</Fact>
          <Fact label="Rules">{version.rules}</Fact>
          <Fact label="Actions">{version.actions.join(", ") || "none"}</Fact>
          <Fact label="Selected containers"><Link to={`/workloads?policy=${encodeURIComponent(name)}`}>{containers}</Link></Fact>
          <Fact label="Nodes"><Group gap={6}><IconServer size={15} aria-hidden />{version.nodes.length}</Group></Fact>
        </div>
      </Panel>
      <DataTable label="Nodes" rows={version.nodes} columns={columns} rowKey={(one) => one.enforcerId} empty={null} />
      <Panel title="As the nodes understood it" aside={<Text size="xs" c="dimmed">without the comments of the file</Text>}>
        {version.document ? <Code block fz={13} bg="transparent" p={0} tabIndex={0}>{version.document}</Code>
          : <Text size="sm" c="dimmed">It is too large to be told. Read it on a node: <span className="mono">moat policy show {printable(name)}</span></Text>}
      </Panel>
    </>
  );
}
