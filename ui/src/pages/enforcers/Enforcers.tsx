// The nodes: how strong each holds, how current it is, what it lost.
import { Button, Drawer, Group, Stack, Table, Tabs, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconCheck, IconServer, IconX } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { api, body } from "../../api/client";
import type { Enforcer } from "../../api/types";
import { useMay } from "../../app/session";
import { ConfirmButton } from "../../components/confirm";
import { type Column, DataTable } from "../../components/DataTable";
import { Mark, StateMark } from "../../components/marks";
import { Page } from "../../components/Page";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Fact, Foreign, Time } from "../../components/text";
import { printable } from "../../logic/printable";
import { bytes, count, duration, milliseconds } from "../../logic/time";
import { EnrolButton, Tokens } from "./Tokens";

const DRIVERS: Record<string, [tone: "good" | "medium" | "critical", words: string]> = {
  lsm: ["good", "LSM: refuses every act"],
  guard: ["medium", "Guard: refuses, some acts late"],
  observe: ["critical", "Observe: only reports"],
};

function lost(enforcer: Enforcer): number {
  return enforcer.status.losses?.reduce((sum, loss) => sum + loss.events, 0) ?? 0;
}

const COLUMNS: Column<Enforcer>[] = [
  { title: "Node", width: "minmax(120px, 1.4fr)", order: (one) => one.node, cell: (one) => <span style={{ fontWeight: 550 }}><Foreign text={one.node} /></span> },
  { title: "State", width: "116px", order: (one) => one.state, cell: (one) => <StateMark state={one.state} /> },
  { title: "Driver", width: "minmax(190px, 1.3fr)", order: (one) => one.driver, cell: (one) => {
    const [tone, words] = DRIVERS[one.driver] ?? ["medium", one.driver];
    return <Mark tone={tone}>{words}</Mark>;
  } },
  { title: "Policies", width: "90px", order: (one) => one.currentSet - one.enforcedSet, cell: (one) => one.state !== "Connected"
    ? <span className="number">set {one.enforcedSet}</span>
    : one.enforcedSet >= one.currentSet ? <Mark tone="good">current</Mark>
    : <Mark tone="medium">{one.currentSet - one.enforcedSet} behind</Mark> },
  { title: "Lag", width: "60px", order: (one) => one.lagMs ?? -1, cell: (one) => <span className="number">{one.lagMs == null ? "" : milliseconds(one.lagMs)}</span> },
  { title: "Lost events", width: "86px", order: lost, cell: (one) => lost(one) === 0 ? "none" : <Mark tone="high">{count(lost(one))}</Mark> },
  { title: "Waiting", from: 1100, width: "110px", order: (one) => one.status.spoolEvents ?? 0, cell: (one) => <span className="number">{one.status.spoolEvents ? `${count(one.status.spoolEvents)} events` : "none"}</span> },
  { title: "Containers", from: 1100, width: "84px", order: (one) => one.status.containers ?? 0, cell: (one) => <span className="number">{one.status.containers ?? ""}</span> },
  { title: "Version", from: 1150, width: "90px", order: (one) => one.version, cell: (one) => one.version },
  { title: "Kernel", from: 1250, width: "minmax(110px, 1fr)", order: (one) => one.kernel, cell: (one) => <Foreign text={one.kernel} /> },
  { title: "Seen", width: "100px", order: (one) => one.lastSeenAt ?? "", cell: (one) => <Time at={one.lastSeenAt} relative /> },
];

export default function Enforcers() {
  const operator = useMay("Operator");
  const [parameters, setParameters] = useSearchParams();
  const open = parameters.get("enforcer");
  const enforcers = useQuery({
    queryKey: ["enforcers"], queryFn: () => body(api.GET("/enforcers")), refetchInterval: 5_000,
  });
  const select = (id: string | null) => setParameters(id ? { enforcer: id } : {}, { replace: true });
  const chosen = enforcers.data?.items.find((one) => one.id === open);
  return (
    <Page title="Enforcers" about="One on each node: it holds the policies there, also while the console is away"
      actions={operator && <EnrolButton />}>
      <Tabs defaultValue="nodes" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="nodes">Nodes</Tabs.Tab>
          <Tabs.Tab value="tokens">Enrolment tokens</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="nodes">
          {enforcers.isPending ? <Loading label="Loading enforcers" />
            : enforcers.isError ? <Unavailable error={enforcers.error} retry={() => void enforcers.refetch()} />
            : <DataTable label="Enforcers" rows={enforcers.data.items} columns={COLUMNS} rowKey={(one) => one.id} selected={open}
                onOpen={(one) => select(one.id)}
                empty={<Empty icon={<IconServer size={40} stroke={1.3} />} title="No node has enrolled yet" action={operator && <EnrolButton />}>
                  Make a token, put it into a file on the node, and start the enforcer there with it. It appears here within seconds.
                </Empty>} />}
        </Tabs.Panel>
        <Tabs.Panel value="tokens"><Tokens /></Tabs.Panel>
      </Tabs>
      <Drawer opened={chosen !== undefined} onClose={() => select(null)} position="right" size="lg"
        title={<Text fw={600}>{printable(chosen?.node ?? "")}</Text>}>
        {chosen && <Detail enforcer={chosen} />}
      </Drawer>
    </Page>
  );
}

function Detail({ enforcer }: { enforcer: Enforcer }) {
  const queries = useQueryClient();
  const operator = useMay("Operator");
  const { status } = enforcer;
  const gone = enforcer.state === "Revoked" || enforcer.state === "Replaced";
  const revoke = async () => {
    await body(api.DELETE("/enforcers/{id}", { params: { path: { id: enforcer.id } } }));
    await queries.invalidateQueries({ queryKey: ["enforcers"] });
    notifications.show({ message: `${enforcer.node} may no longer connect.` });
  };
  return (
    <Stack gap="lg">
      {status.problems?.map((problem) => (
        <Text key={problem} size="sm" c="var(--moat-medium)" style={{ overflowWrap: "anywhere" }}>{printable(problem)}</Text>
      ))}
      <div style={{ display: "grid", gridTemplateColumns: "1fr 1fr", gap: 14 }}>
        <Fact label="State"><StateMark state={enforcer.state} /></Fact>
        <Fact label="Seen"><Time at={enforcer.lastSeenAt} relative /></Fact>
        <Fact label="Policy set: offered, accepted, enforced">
          <span className="number">{enforcer.offeredSet}, {enforcer.acceptedSet}, {enforcer.enforcedSet} of {enforcer.currentSet}</span></Fact>
        <Fact label="Events take">{enforcer.lagMs == null ? "not known" : milliseconds(enforcer.lagMs)}</Fact>
        <Fact label="Up for">{status.uptimeSeconds == null ? "not known" : duration(status.uptimeSeconds)}</Fact>
        <Fact label="Memory">{status.residentBytes == null ? "not known" : bytes(status.residentBytes)}</Fact>
        <Fact label="Waiting on the node">{count(status.spoolEvents ?? 0)} events, {bytes(status.spoolBytes ?? 0)}</Fact>
        <Fact label="Enrolled"><Time at={enforcer.enrolledAt} /></Fact>
        <Fact label="Certificate until"><Time at={enforcer.certificateExpiresAt} /></Fact>
        <Fact label="Its serial number"><Foreign mono text={enforcer.certificateSerial} /></Fact>
        <Fact label="Version"><Foreign text={enforcer.version} /></Fact>
        <Fact label="Kernel"><Foreign text={enforcer.kernel} /></Fact>
      </div>
      <section>
        <Title order={3} size="0.85rem" mb={6}>Lost events since its start</Title>
        {lost(enforcer) === 0 ? <Text size="sm" c="dimmed">None.</Text> : (
          <Table withRowBorders={false} verticalSpacing={3} fz="sm"><Table.Tbody>
            {status.losses?.filter((loss) => loss.events > 0).map((loss) => (
              <Table.Tr key={loss.stage}><Table.Td>{loss.stage}</Table.Td><Table.Td className="number">{count(loss.events)}</Table.Td></Table.Tr>
            ))}
          </Table.Tbody></Table>
        )}
      </section>
      <section>
        <Title order={3} size="0.85rem" mb={6}>What its kernel can hold</Title>
        <Stack gap={8}>
          {enforcer.capabilities.map((capability) => (
            <Group key={capability.name} gap={10} wrap="nowrap" align="flex-start">
              <Mark tone={capability.available ? "good" : "info"} icon={capability.available ? <IconCheck size={15} aria-label="can" /> : <IconX size={15} aria-label="cannot" />}>{""}</Mark>
              <div style={{ minWidth: 0 }}>
                <Text size="sm">{printable(capability.summary || capability.name)}</Text>
                {capability.detail && <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>{printable(capability.detail)}</Text>}
              </div>
            </Group>
          ))}
        </Stack>
      </section>
      {operator && !gone && (
        <Group>
          <ConfirmButton label="Revoke" title={`Revoke ${enforcer.node}?`} confirm="Revoke" act={revoke}>
            <Text size="sm">Its certificate is void at once: it may not connect again, and sends no more events. It goes on enforcing
              what it has until it is stopped. To come back, it must enrol with a new token.</Text>
          </ConfirmButton>
          <Button variant="default" component="a" href={`/events?nodes=${encodeURIComponent(enforcer.node)}`}>Its events</Button>
        </Group>
      )}
    </Stack>
  );
}
