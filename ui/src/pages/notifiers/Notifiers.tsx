// Where events are sent on to, and how that goes.
import { Button, Text } from "@mantine/core";
import { IconBell, IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "react-router";
import { api, body } from "../../api/client";
import type { Notifier } from "../../api/types";
import { useMay } from "../../app/session";
import { type Column, DataTable } from "../../components/DataTable";
import { Mark } from "../../components/marks";
import { Page } from "../../components/Page";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Foreign, Time } from "../../components/text";
import { destinationInWords, filterInWords, kindTitle } from "../../logic/notifierForm";
import { count } from "../../logic/time";
import { Condition } from "./Condition";

const COLUMNS: Column<Notifier>[] = [
  { title: "Name", width: "minmax(110px, 1fr)", order: (one) => one.name, cell: (one) => (
    <Link to={`/notifiers/${one.id}`} onClick={(event) => event.stopPropagation()} style={{ fontWeight: 550 }}><Foreign text={one.name} /></Link>
  ) },
  { title: "State", width: "124px", order: (one) => (one.enabled ? one.status.condition : "Paused"), cell: (one) => <Condition notifier={one} /> },
  { title: "Sends to", width: "minmax(160px, 1.8fr)", order: (one) => kindTitle(one.destination), cell: (one) => (
    <span className="ellipsis" style={{ display: "block" }}>{kindTitle(one.destination)}{" "}
      <Text span size="sm" c="dimmed" title={destinationInWords(one.destination)}>{destinationInWords(one.destination)}</Text></span>
  ) },
  { title: "Which events", from: 900, width: "minmax(120px, 1.4fr)", cell: (one) => <Foreign text={filterInWords(one.filter)} /> },
  { title: "Delivered", width: "72px", order: (one) => one.status.delivered, cell: (one) => <span className="number">{count(one.status.delivered)}</span> },
  { title: "Waiting", width: "64px", order: (one) => one.behind, cell: (one) => <span className="number">{one.behind === 0 ? "none" : count(one.behind)}</span> },
  { title: "Dead letters", width: "84px", order: (one) => one.deadLetters, cell: (one) => one.deadLetters === 0 ? "none"
    : <Mark tone="high">{count(one.deadLetters)}</Mark> },
  { title: "Last", width: "92px", order: (one) => one.status.lastDeliveredAt ?? "", cell: (one) => <Time at={one.status.lastDeliveredAt} relative /> },
];

export default function Notifiers() {
  const navigate = useNavigate();
  const operator = useMay("Operator");
  const notifiers = useQuery({ queryKey: ["notifiers"], queryFn: () => body(api.GET("/notifiers")), refetchInterval: 5_000 });
  const create = operator && (
    <Button leftSection={<IconPlus size={16} />} component={Link} to="/notifiers/new">New notifier</Button>
  );
  return (
    <Page title="Notifiers" about="Send events on to where people already look. Each arrives at least once, or becomes a dead letter" actions={create}>
      {notifiers.isPending ? <Loading label="Loading notifiers" />
        : notifiers.isError ? <Unavailable error={notifiers.error} retry={() => void notifiers.refetch()} />
        : <DataTable label="Notifiers" rows={notifiers.data.items} columns={COLUMNS} rowKey={(one) => one.id}
            onOpen={(one) => void navigate(`/notifiers/${one.id}`)}
            empty={
              <Empty icon={<IconBell size={40} stroke={1.3} />} title="Events stay here so far" action={create}>
                A notifier sends those that you choose to syslog, Splunk, Elasticsearch or OpenSearch, a webhook, Slack,
                OpenTelemetry or a file. It begins with the next event, tries again while a receiver is away, and keeps what
                could not be delivered where you see it.
              </Empty>
            } />}
    </Page>
  );
}
