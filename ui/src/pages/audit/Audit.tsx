// Every change that anyone made, each entry chained to the one before by its hash.
import { Alert, Button, Code, Drawer, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconHistory, IconShieldCheck } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { api, asProblem, body } from "../../api/client";
import type { AuditEntry } from "../../api/types";
import { type Column, DataTable } from "../../components/DataTable";
import { Page } from "../../components/Page";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Fact, Foreign, Time } from "../../components/text";
import { printable } from "../../logic/printable";

const COLUMNS: Column<AuditEntry>[] = [
  { title: "No.", width: "60px", cell: (one) => <span className="number">{one.seq}</span> },
  { title: "Time", width: "132px", cell: (one) => <Time at={one.at} /> },
  { title: "Who", width: "minmax(90px, 1fr)", cell: (one) => <Foreign text={one.actor} /> },
  { title: "Role", from: 1100, width: "90px", cell: (one) => one.role },
  { title: "From", width: "minmax(100px, 0.8fr)", cell: (one) => <Foreign mono text={one.sourceAddress} /> },
  { title: "Did", width: "minmax(90px, 0.8fr)", cell: (one) => <Foreign text={one.action} /> },
  { title: "To", width: "minmax(118px, 0.8fr)", cell: (one) => <Foreign text={one.resource} /> },
  { title: "Name", width: "minmax(160px, 1.6fr)", cell: (one) => <Foreign text={one.name} /> },
];
const CONDITIONS = [["actor", "Who"], ["action", "Did"], ["resource", "To"], ["name", "Name"]] as const;

export default function Audit() {
  const [parameters, setParameters] = useSearchParams();
  const [chosen, setChosen] = useState<AuditEntry | null>(null);
  const query = useMemo(() => Object.fromEntries(CONDITIONS.flatMap(([name]) => {
    const value = parameters.get(name);
    return value ? [[name, value]] : [];
  })), [parameters]);
  const entries = useInfiniteQuery({
    queryKey: ["audit", query],
    queryFn: ({ pageParam }) => body(api.GET("/audit", {
      params: { query: { ...query, limit: 200, ...(pageParam ? { cursor: pageParam } : {}) } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const rows = useMemo(() => entries.data?.pages.flatMap((page) => page.items) ?? [], [entries.data]);
  const verify = useMutation({ mutationFn: () => body(api.POST("/audit/verify")) });
  return (
    <Page title="Audit log" fill about="Every change, by whom and from where. Nothing is ever taken out of it."
      actions={<Button variant="default" leftSection={<IconShieldCheck size={16} />} loading={verify.isPending} onClick={() => verify.mutate()}>
        Verify the chain</Button>}>
      {verify.isError && <Alert color="red" mb="sm" title={asProblem(verify.error).title}>{asProblem(verify.error).detail}</Alert>}
      {verify.data && (verify.data.intact ? (
        <Alert color="green" mb="sm" withCloseButton onClose={() => verify.reset()} title={`All ${verify.data.entries} entries are as they were written`}>
          <Text size="sm">Note the newest hash elsewhere; it shows even a log that was rewritten as a whole:{" "}
            <span className="mono" style={{ overflowWrap: "anywhere" }}>{verify.data.head}</span></Text>
        </Alert>
      ) : (
        <Alert color="red" mb="sm" role="alert" title={`The chain is broken at entry ${verify.data.brokenAt}`}>{verify.data.reason}</Alert>
      ))}
      <Group gap="xs" mb="sm">
        {CONDITIONS.map(([name, label]) => (
          <form key={`${name} ${parameters.get(name) ?? ""}`} onSubmit={(event) => {
            event.preventDefault();
            const value = String(new FormData(event.currentTarget).get(name) ?? "").trim();
            setParameters((old) => {
              const next = new URLSearchParams(old);
              if (value) next.set(name, value);
              else next.delete(name);
              return next;
            });
          }}>
            <TextInput name={name} aria-label={`Only entries with this: ${label}`} placeholder={label} w={150} defaultValue={parameters.get(name) ?? ""}
              onBlur={(event) => event.currentTarget.form?.requestSubmit()} />
          </form>
        ))}
      </Group>
      {entries.isPending ? <Loading label="Loading the audit log" />
        : entries.isError ? <Unavailable error={entries.error} retry={() => void entries.refetch()} />
        : <DataTable label="Audit log" fill rows={rows} columns={COLUMNS} rowKey={(one) => String(one.seq)} rowHeight={38}
            selected={chosen && String(chosen.seq)} onOpen={setChosen}
            onEnd={() => entries.hasNextPage && !entries.isFetchingNextPage && void entries.fetchNextPage()}
            empty={<Empty icon={<IconHistory size={40} stroke={1.3} />} title="No such entry">
              {Object.keys(query).length > 0 ? "Conditions are compared as a whole: empty one of them." : "Changes appear here as they are made."}
            </Empty>} />}
      <Drawer opened={chosen !== null} onClose={() => setChosen(null)} position="right" size="lg" title={<Text fw={600}>Entry {chosen?.seq}</Text>}>
        {chosen && (
          <Stack>
            <Fact label="When"><Time at={chosen.at} /></Fact>
            <Fact label="Who">{printable(chosen.actor)} ({chosen.role}), from {printable(chosen.sourceAddress)}</Fact>
            <Fact label="What">{printable(`${chosen.action} ${chosen.resource} ${chosen.name}`)}</Fact>
            <Fact label="In detail"><Code block fz={12} tabIndex={0}>{JSON.stringify(chosen.detail, null, 2).split("\n").map(printable).join("\n")}</Code></Fact>
            <Fact label="Hash of the entry before"><Foreign mono wrap text={chosen.previousHash} /></Fact>
            <Fact label="Hash of this entry"><Foreign mono wrap text={chosen.hash} /></Fact>
          </Stack>
        )}
      </Drawer>
    </Page>
  );
}
