// One workload: its containers, the rules that hold for it and why, and what it ran, read and connected to.
import { Alert, Anchor, Breadcrumbs, Button, Code, Group, SegmentedControl, SimpleGrid, Stack, Tabs, Text } from "@mantine/core";
import { IconActivity } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { stringify } from "yaml";
import { api, body } from "../../api/client";
import type { Activity, Container, EffectiveRule, WorkloadDetail } from "../../api/types";
import { type Column, DataTable } from "../../components/DataTable";
import { SeverityMark, StateMark } from "../../components/marks";
import { Page, Panel } from "../../components/Page";
import { PolicyLink } from "../../components/PolicyLink";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Fact, Foreign, Time } from "../../components/text";
import { commandOf } from "../../logic/activity";
import { toAddress } from "../../logic/eventFilter";
import { printable } from "../../logic/printable";
import { count } from "../../logic/time";

export default function Workload() {
  const { namespace = "", kind = "", name = "" } = useParams();
  const path = { namespace, kind, name };
  const detail = useQuery({
    queryKey: ["workload", path],
    queryFn: () => body(api.GET("/workloads/{namespace}/{kind}/{name}", { params: { path } })),
    refetchInterval: 10_000,
  });
  return (
    <Page title={printable(name)} about={
      <Breadcrumbs separatorMargin={6}>
        <Anchor component={Link} to={`/workloads?namespace=${encodeURIComponent(namespace)}`} size="sm">{printable(namespace)}</Anchor>
        <Text size="sm" c="dimmed">{printable(kind)}</Text>
      </Breadcrumbs>}
      actions={<Button variant="default" leftSection={<IconActivity size={16} />} component={Link}
        to={`/events?${toAddress({ namespaces: [namespace], text: name })}`}>Events</Button>}>
      {detail.isPending ? <Loading label="Loading the workload" />
        : detail.isError ? <Unavailable error={detail.error} retry={() => void detail.refetch()} />
        : <Whole detail={detail.data} />}
    </Page>
  );
}

function Whole({ detail }: { detail: WorkloadDetail }) {
  const { workload } = detail;
  return (
    <Stack gap="md">
      <Panel>
        <SimpleGrid cols={{ base: 2, md: 4 }}>
          <Fact label="Protection"><StateMark state={workload.protection} /></Fact>
          <Fact label="Containers">{workload.containers} on {workload.nodes.length} {workload.nodes.length === 1 ? "node" : "nodes"}</Fact>
          <Fact label="Images"><Foreign mono text={workload.images.join(", ")} /></Fact>
          <Fact label="Policies">{workload.policies.length === 0 ? <Text span size="sm" c="dimmed">none</Text> : (
            <Group gap={8}>{workload.policies.map((name) => (
              <PolicyLink key={name} name={name} />))}</Group>
          )}</Fact>
        </SimpleGrid>
        {workload.problems.map((problem) => (
          <Text key={problem} size="sm" mt="sm" c="var(--moat-medium)" style={{ overflowWrap: "anywhere" }}>{printable(problem)}</Text>
        ))}
      </Panel>
      <Tabs defaultValue="rules" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="rules">Rules ({detail.rules.length})</Tabs.Tab>
          <Tabs.Tab value="activity">Activity ({detail.activity.length})</Tabs.Tab>
          <Tabs.Tab value="containers">Containers ({detail.containers.length})</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="rules"><Rules detail={detail} /></Tabs.Panel>
        <Tabs.Panel value="activity"><ActivityList activity={detail.activity} /></Tabs.Panel>
        <Tabs.Panel value="containers">
          <DataTable label="Containers" rows={detail.containers} columns={CONTAINERS} rowKey={(one) => one.containerId}
            empty={<Empty title="No container of it runs" />} />
        </Tabs.Panel>
      </Tabs>
    </Stack>
  );
}

function Rules({ detail }: { detail: WorkloadDetail }) {
  return (
    <Stack gap="md">
      {detail.otherNodes.length > 0 && (
        <Alert color="yellow" title={`These are the rules on ${printable(detail.rulesNode)}`}>
          The own folders of {printable(detail.otherNodes.join(", "))} have other policies.
        </Alert>
      )}
      {detail.rules.length === 0 ? (
        <Panel><Empty title="No rule holds for it" action={<Link to="/policies/templates">Start from a template</Link>}>
          No policy selects this workload. Below stands why not, policy by policy.
        </Empty></Panel>
      ) : (
        <Panel title="In the order in which they decide, strongest first" padding={0}>
          <ol style={{ margin: 0, padding: 0, listStyle: "none" }}>
            {detail.rules.map((rule, index) => <Rule key={`${rule.policy}/${rule.rule}`} rule={rule} place={index + 1} />)}
          </ol>
        </Panel>
      )}
      {detail.notSelected.length > 0 && (
        <Panel title="Policies that are not for it">
          <Stack gap={6}>
            {detail.notSelected.map((one) => (
              <Text key={`${one.source} ${one.policy}`} size="sm"><PolicyLink name={one.policy} source={one.source} />
                <Text span c="dimmed" size="sm">: {printable(one.why)}</Text></Text>
            ))}
          </Stack>
        </Panel>
      )}
    </Stack>
  );
}

function Rule({ rule, place }: { rule: EffectiveRule; place: number }) {
  const [open, setOpen] = useState(false);
  return (
    <li style={{ borderTop: "1px solid var(--moat-border)", padding: "12px 18px" }}>
      <div style={{ display: "grid", gridTemplateColumns: "28px 100px 130px 110px minmax(0, 1fr) auto", gap: 12, alignItems: "center" }}>
        <Text c="dimmed" size="sm" className="number">{place}</Text>
        <SeverityMark severity={rule.severity} />
        <Text size="sm" fw={550}>{rule.action}</Text>
        <StateMark state={rule.mode} />
        <span className="ellipsis"><PolicyLink name={rule.policy} source={rule.source} /> / {printable(rule.rule)}
          {rule.source === "Node" && <Text span size="xs" c="dimmed"> · from the node’s folder</Text>}</span>
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}
          style={{ font: "inherit", background: "none", border: 0, color: "var(--moat-accent)", cursor: "pointer" }}>
          {open ? "Hide" : "Show"}
        </button>
      </div>
      {rule.holdings.map((holding) => (
        <Group key={holding.node} gap={8} mt={6} ml={40} wrap="nowrap" align="flex-start">
          <StateMark state={holding.state} />
          <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere" }}>on {printable(holding.node)}: {printable(holding.reasons.join("; "))}</Text>
        </Group>
      ))}
      {open && <Code block mt={10} ml={40} fz={12} tabIndex={0}>{stringify(rule.definition, { lineWidth: 0 })}</Code>}
    </li>
  );
}

const KINDS = { "": "All", Executed: "Ran", Opened: "Opened", Connected: "Connected to" };

const ACTIVITY: Column<Activity>[] = [
  { title: "Did", width: "120px", order: (one) => one.kind, cell: (one) => KINDS[one.kind] },
  { title: "What", width: "minmax(240px, 3fr)", order: (one) => one.subject, cell: (one) => <Did activity={one} /> },
  { title: "Container", width: "minmax(100px, 1fr)", order: (one) => one.container, cell: (one) => <Foreign text={one.container} /> },
  { title: "Times", width: "80px", order: (one) => one.count, cell: (one) => <span className="number">{count(one.count)}</span> },
  { title: "First", width: "130px", order: (one) => one.firstSeen, cell: (one) => <Time at={one.firstSeen} /> },
  { title: "Last", width: "130px", order: (one) => one.lastSeen, cell: (one) => <Time at={one.lastSeen} /> },
];

function Did({ activity }: { activity: Activity }) {
  const [subject, command] = [printable(activity.subject), commandOf(activity.detail)];
  return (
    <span className="mono ellipsis" style={{ display: "block" }} title={command || subject}>
      {subject}{command && <Text span c="dimmed" size="sm" ff="inherit">{`  ${command}`}</Text>}
    </span>
  );
}

function ActivityList({ activity }: { activity: readonly Activity[] }) {
  const [kind, setKind] = useState("");
  const rows = useMemo(() => activity.filter((one) => kind === "" || one.kind === kind), [activity, kind]);
  return (
    <>
      <SegmentedControl aria-label="Kind of activity" size="xs" mb="sm" value={kind} onChange={setKind}
        data={Object.entries(KINDS).map(([value, label]) => ({ value, label }))} />
      <DataTable label="Activity" rows={rows} columns={ACTIVITY} rowKey={(one) => `${one.container} ${one.kind} ${one.subject} ${JSON.stringify(one.detail)}`}
        empty={<Empty title="Nothing recorded">What its containers run and connect to is gathered here while they run.</Empty>} />
    </>
  );
}

const CONTAINERS: Column<Container>[] = [
  { title: "Container", width: "minmax(120px, 1fr)", order: (one) => one.workload.container, cell: (one) => <Foreign text={one.workload.container} /> },
  { title: "Pod", width: "minmax(140px, 1.5fr)", order: (one) => one.workload.pod, cell: (one) => <Foreign text={one.workload.pod} /> },
  { title: "Node", width: "minmax(100px, 1fr)", order: (one) => one.workload.node, cell: (one) => <Foreign text={one.workload.node} /> },
  { title: "Protection", width: "130px", order: (one) => one.protection, cell: (one) => <StateMark state={one.protection} /> },
  { title: "Rules", width: "70px", order: (one) => one.rules, cell: (one) => one.rules },
  { title: "Problem", width: "minmax(140px, 1.5fr)", cell: (one) => <Foreign text={one.problem} /> },
  { title: "Started", width: "130px", order: (one) => one.startedAt ?? "", cell: (one) => one.startedAt ? <Time at={one.startedAt} /> : null },
  { title: "Seen", width: "100px", cell: (one) => one.endedAt ? <Text size="sm" c="dimmed">ended</Text> : <Time at={one.seenAt} relative /> },
];
