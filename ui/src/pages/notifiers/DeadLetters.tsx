// What did not arrive: why, and what to do with it.
import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconMailOff, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";
import { api, asProblem, body } from "../../api/client";
import type { DeadLetter, Notifier } from "../../api/types";
import { useMay } from "../../app/session";
import { ConfirmButton } from "../../components/confirm";
import { type Column, DataTable } from "../../components/DataTable";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Foreign, Time } from "../../components/text";
import { count } from "../../logic/time";
import { notifierKey } from "./Notifier";

export function DeadLetters({ notifier }: { notifier: Notifier }) {
  const queries = useQueryClient();
  const operator = useMay("Operator");
  const path = { id: notifier.id };
  const letters = useInfiniteQuery({
    queryKey: ["dead-letters", notifier.id],
    queryFn: ({ pageParam }) => body(api.GET("/notifiers/{id}/dead-letters", {
      params: { path, query: { limit: 200, ...(pageParam ? { cursor: pageParam } : {}) } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: 5_000,
  });
  const rows = useMemo(() => letters.data?.pages.flatMap((page) => page.items) ?? [], [letters.data]);
  const done = async (words: string) => {
    notifications.show({ message: words });
    await queries.invalidateQueries({ queryKey: notifierKey(notifier.id) });
    await queries.invalidateQueries({ queryKey: ["dead-letters", notifier.id] });
  };
  const query = (letter?: DeadLetter) => (letter ? { letter: letter.id } : {});
  const retry = useMutation({
    mutationFn: (letter?: DeadLetter) => body(api.POST("/notifiers/{id}/dead-letters/retry", { params: { path, query: query(letter) } })),
    onSuccess: ({ letters: number }) => done(`${letterCount(number)} on the way again.`),
  });
  const discard = async (letter?: DeadLetter) => {
    const { letters: number } = await body(api.DELETE("/notifiers/{id}/dead-letters", { params: { path, query: query(letter) } }));
    await done(`${letterCount(number)} forgotten.`);
  };
  const columns: Column<DeadLetter>[] = [
    { title: "Given up", width: "130px", order: (one) => one.at, cell: (one) => <Time at={one.at} /> },
    { title: "Events", width: "96px", order: (one) => one.events.length, cell: (one) => {
      const [first] = one.events;
      return one.events.length === 1 && first ? <Link to={`/events?event=${encodeURIComponent(first)}`}>1 event</Link>
        : <span className="number">{count(one.events.length)} events</span>;
    } },
    { title: "Attempts", width: "76px", order: (one) => one.attempts, cell: (one) => <span className="number">{one.attempts}</span> },
    { title: "Why", width: "minmax(200px, 1fr)", cell: (one) => <Foreign text={one.error} /> },
    ...(operator ? [{ title: "", width: "164px", cell: (one: DeadLetter) => (
      <Group gap={6} wrap="nowrap" justify="flex-end">
        <Button size="compact-xs" variant="default" disabled={retry.isPending} onClick={() => retry.mutate(one)}>Retry</Button>
        <ConfirmButton label="Discard" size="compact-xs" title="Discard this dead letter?" confirm="Discard" act={() => discard(one)}>
          <Text size="sm">Its {count(one.events.length)} {one.events.length === 1 ? "event" : "events"} will never reach the receiver. The console
            keeps them.</Text>
        </ConfirmButton>
      </Group>
    ) }] : []),
  ];
  if (letters.isPending) return <Loading label="Loading dead letters" />;
  if (letters.isError) return <Unavailable error={letters.error} retry={() => void letters.refetch()} />;
  return (
    <Stack gap="sm">
      {retry.isError && (
        <Alert color="red" role="alert" title={asProblem(retry.error).title} withCloseButton onClose={() => retry.reset()}>
          {asProblem(retry.error).detail}
        </Alert>
      )}
      {operator && rows.length > 0 && (
        <Group gap="xs" justify="flex-end">
          <Button size="xs" variant="default" leftSection={<IconRefresh size={15} />} loading={retry.isPending} onClick={() => retry.mutate(undefined)}>Retry all</Button>
          <ConfirmButton label="Discard all" size="xs" icon={<IconTrash size={15} />} title={`Discard all ${count(notifier.deadLetters)} dead letters?`}
            confirm="Discard all" act={() => discard()}>
            <Text size="sm">Their events will never reach the receiver. The console keeps them.</Text>
          </ConfirmButton>
        </Group>
      )}
      <DataTable label="Dead letters" rows={rows} columns={columns} rowKey={(one) => one.id}
        onEnd={() => letters.hasNextPage && !letters.isFetchingNextPage && void letters.fetchNextPage()}
        empty={<Empty icon={<IconMailOff size={40} stroke={1.3} />} title="Everything arrived so far">
          What a receiver refuses, or does not take within ten attempts, is put here with the reason: to be sent again or
          discarded. What comes after it is sent meanwhile.
        </Empty>} />
    </Stack>
  );
}

function letterCount(number: number): string {
  return number === 1 ? "One dead letter is" : `${count(number)} dead letters are`;
}
