// One notifier: how it fares, a test of it, and what did not arrive.
import { Alert, Button, SimpleGrid, Stack, Tabs, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconEdit, IconPlayerPause, IconPlayerPlay, IconSend, IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { api, asProblem, body, ifMatch } from "../../api/client";
import type { Notifier as Shown, NotifierTest } from "../../api/types";
import { useMay } from "../../app/session";
import { ConfirmButton } from "../../components/confirm";
import { Page, Panel } from "../../components/Page";
import { Loading, Unavailable } from "../../components/states";
import { Fact, Foreign, Time } from "../../components/text";
import { destinationInWords, filterInWords, kindTitle } from "../../logic/notifierForm";
import { printable } from "../../logic/printable";
import { count, milliseconds } from "../../logic/time";
import { Condition } from "./Condition";
import { DeadLetters } from "./DeadLetters";

export const notifierKey = (id: string) => ["notifier", id];

export default function Notifier() {
  const { id = "" } = useParams();
  const notifier = useQuery({
    queryKey: notifierKey(id),
    queryFn: () => body(api.GET("/notifiers/{id}", { params: { path: { id } } })),
    refetchInterval: 5_000,
  });
  if (notifier.isPending) return <Page title="Notifier"><Loading label="Loading the notifier" /></Page>;
  if (notifier.isError) return <Page title="Notifier"><Unavailable error={notifier.error} retry={() => void notifier.refetch()} /></Page>;
  return <Whole key={id} notifier={notifier.data} />;
}

function Whole({ notifier }: { notifier: Shown }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const operator = useMay("Operator");
  const [parameters, setParameters] = useSearchParams();
  const path = { id: notifier.id };
  const { status } = notifier;
  const test = useMutation({ mutationFn: () => body(api.POST("/notifiers/{id}/test", { params: { path } })) });
  const pause = useMutation({
    mutationFn: () => body(api.PUT("/notifiers/{id}", {
      params: { path, header: ifMatch(notifier.revision) },
      body: { name: notifier.name, destination: notifier.destination, secrets: null, filter: notifier.filter, enabled: !notifier.enabled },
    })),
    onSettled: () => queries.invalidateQueries({ queryKey: notifierKey(notifier.id) }),
  });
  const remove = async () => {
    await body(api.DELETE("/notifiers/{id}", { params: { path } }));
    await queries.invalidateQueries({ queryKey: ["notifiers"] });
    notifications.show({ message: `${notifier.name} is deleted.` });
    void navigate("/notifiers");
  };
  return (
    <Page title={printable(notifier.name)} about={<>{kindTitle(notifier.destination)}: {printable(destinationInWords(notifier.destination))}</>}
      actions={operator && <>
        <Button variant="default" leftSection={<IconSend size={16} />} loading={test.isPending} onClick={() => test.mutate()}>Send a test</Button>
        <Button variant="default" loading={pause.isPending} onClick={() => pause.mutate()}
          leftSection={notifier.enabled ? <IconPlayerPause size={16} /> : <IconPlayerPlay size={16} />}>
          {notifier.enabled ? "Pause" : "Resume"}
        </Button>
        <ConfirmButton label="Delete" icon={<IconTrash size={16} />} title={`Delete ${printable(notifier.name)}?`} confirm="Delete" act={remove}>
          <Text size="sm">
            {notifier.behind > 0 ? `What waits (${events(notifier.behind)}) is not sent` : "No event waits to be sent"}
            {notifier.deadLetters > 0 ? `, and its dead letters (${count(notifier.deadLetters)}) are forgotten` : ""}. The events
            themselves stay in the console. A new notifier begins with what happens after it was made.
          </Text>
        </ConfirmButton>
        <Button leftSection={<IconEdit size={16} />} component={Link} to={`/notifiers/${notifier.id}/edit`}>Edit</Button>
      </>}>
      <Stack gap="md">
        {test.data && <TestAnswer test={test.data} close={() => test.reset()} />}
        {test.isError && <Refused title="The test was not sent" error={test.error} close={() => test.reset()} />}
        {pause.isError && <Refused title="It was not changed" error={pause.error} close={() => pause.reset()} />}
        <Panel>
          <SimpleGrid cols={{ base: 2, md: 5 }}>
            <Fact label="State"><Condition notifier={notifier} /></Fact>
            <Fact label="Delivered"><span className="number">{events(status.delivered)}</span>
              <Text size="xs" c="dimmed">last <Time at={status.lastDeliveredAt} relative /></Text></Fact>
            <Fact label="Waiting"><span className="number">{notifier.behind === 0 ? "none" : events(notifier.behind)}</span>
              {notifier.behind > 0 && <Text size="xs" c="dimmed">whether or not it is for them</Text>}</Fact>
            <Fact label="Given up"><span className="number">{status.givenUp === 0 ? "none" : events(status.givenUp)}</span></Fact>
            <Fact label="Missed"><span className="number">{status.missed === 0 ? "none" : events(status.missed)}</span>
              {status.missed > 0 && <Text size="xs" c="dimmed">deleted by retention before their turn</Text>}</Fact>
          </SimpleGrid>
          {status.lastError && (
            <Text size="sm" mt="md" style={{ overflowWrap: "anywhere" }}
              c={notifier.enabled && status.condition !== "Working" ? "var(--moat-high)" : "dimmed"}>
              Last error, <Time at={status.lastErrorAt} relative />: {printable(status.lastError)}
            </Text>
          )}
        </Panel>
        <Tabs value={parameters.get("tab") ?? "letters"} keepMounted={false}
          onChange={(tab) => setParameters(tab && tab !== "letters" ? { tab } : {}, { replace: true })}>
          <Tabs.List mb="md">
            <Tabs.Tab value="letters">Dead letters ({count(notifier.deadLetters)})</Tabs.Tab>
            <Tabs.Tab value="settings">What it sends, and where</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="letters"><DeadLetters notifier={notifier} /></Tabs.Panel>
          <Tabs.Panel value="settings"><Settings notifier={notifier} /></Tabs.Panel>
        </Tabs>
      </Stack>
    </Page>
  );
}

function events(number: number): string {
  return number === 1 ? "1 event" : `${count(number)} events`;
}

/** The receiver's own words. */
function TestAnswer({ test, close }: { test: NotifierTest; close: () => void }) {
  return (
    <Alert color={test.delivered ? "green" : "red"} role="alert" withCloseButton onClose={close}
      title={`${test.delivered ? "The test arrived" : "The test did not arrive"} after ${milliseconds(test.milliseconds)}`}>
      <Text size="sm" style={{ overflowWrap: "anywhere" }}>
        {test.answer ? <>The receiver’s answer: <span className="mono">{printable(test.answer)}</span></>
          : test.delivered ? "The receiver said nothing about it." : "No reason was given."}
      </Text>
      <Text size="xs" c="dimmed" mt={4}>Look there for the event <span className="mono">{test.eventId}</span></Text>
    </Alert>
  );
}

function Refused({ title, error, close }: { title: string; error: unknown; close: () => void }) {
  const problem = asProblem(error);
  return (
    <Alert color="red" role="alert" title={title} withCloseButton onClose={close}>
      {problem.detail || problem.title}
      {problem.status === 412 && " Somebody else changed it meanwhile. What you see now is theirs: look, and try again."}
    </Alert>
  );
}

function Settings({ notifier }: { notifier: Shown }) {
  const [fields = {}] = Object.values(notifier.destination) as Record<string, unknown>[];
  const entries = Object.entries(fields).filter(([, value]) => value !== null && value !== "" && value !== false);
  return (
    <Panel>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Fact label="Which events">{printable(filterInWords(notifier.filter))}</Fact>
        <Fact label="Secrets">{notifier.secrets.length === 0 ? "none" : `${notifier.secrets.join(", ")}: kept sealed, never shown`}</Fact>
        {entries.map(([name, value]) => <Fact key={name} label={name}><Foreign mono wrap text={String(value)} /></Fact>)}
      </SimpleGrid>
    </Panel>
  );
}
