// Tokens by which nodes enrol: made here, shown once, revoked here.
import { Alert, Button, Code, Group, Modal, NumberInput, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus, IconTicket } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, asProblem, body } from "../../api/client";
import type { EnrolmentToken } from "../../api/types";
import { useMay } from "../../app/session";
import { ConfirmButton } from "../../components/confirm";
import { type Column, DataTable } from "../../components/DataTable";
import { Mark } from "../../components/marks";
import { Secret } from "../../components/Secret";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Foreign, Time } from "../../components/text";

const tokensKey = ["enrolment-tokens"];

export function EnrolButton() {
  const [opened, dialog] = useDisclosure();
  return (
    <>
      <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>Enrol nodes</Button>
      <Modal opened={opened} onClose={dialog.close} size="lg" title={<Text fw={600}>Enrol nodes</Text>}>
        <NewToken close={dialog.close} />
      </Modal>
    </>
  );
}

function NewToken({ close }: { close: () => void }) {
  const queries = useQueryClient();
  const [label, setLabel] = useState("");
  const [uses, setUses] = useState(1);
  const [hours, setHours] = useState(24);
  const make = useMutation({
    mutationFn: () => body(api.POST("/enrolment-tokens", { body: { label, uses, hours } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: tokensKey }),
  });
  if (make.data) {
    return (
      <Stack>
        <Secret secret={make.data.secret} about="Put this into a file on the node that only root may read." />
        <Text size="sm">Then start the enforcer there:</Text>
        <Code block tabIndex={0}>{`moat up --no-console \\\n  --console ${window.location.hostname}:8441 \\\n  --enrolment-token-file /etc/moat/enrolment-token`}</Code>
        <Group justify="flex-end"><Button onClick={close}>Done</Button></Group>
      </Stack>
    );
  }
  return (
    <form onSubmit={(event) => { event.preventDefault(); make.mutate(); }}>
      <Stack>
        {make.isError && <Alert color="red" role="alert" title={asProblem(make.error).title}>{asProblem(make.error).detail}</Alert>}
        <TextInput label="Label" description="For whom it is: shown in this list and in the audit log" required data-autofocus value={label}
          onChange={(event) => setLabel(event.currentTarget.value)} />
        <Group grow>
          <NumberInput label="Nodes that may use it" min={1} max={10_000} value={uses} onChange={(value) => setUses(Number(value) || 1)} />
          <NumberInput label="Valid for, in hours" min={1} max={8_760} value={hours} onChange={(value) => setHours(Number(value) || 1)} />
        </Group>
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>Cancel</Button>
          <Button type="submit" loading={make.isPending}>Make a token</Button>
        </Group>
      </Stack>
    </form>
  );
}

export function Tokens() {
  const queries = useQueryClient();
  const operator = useMay("Operator");
  const tokens = useQuery({ queryKey: tokensKey, queryFn: () => body(api.GET("/enrolment-tokens")), refetchInterval: 10_000 });
  const revoke = async (id: string) => {
    await body(api.DELETE("/enrolment-tokens/{id}", { params: { path: { id } } }));
    await queries.invalidateQueries({ queryKey: tokensKey });
  };
  const columns: Column<EnrolmentToken>[] = [
    { title: "Label", width: "minmax(160px, 2fr)", order: (one) => one.label, cell: (one) => <Foreign text={one.label} /> },
    { title: "State", width: "120px", cell: (one) => one.usable ? <Mark tone="good">usable</Mark>
      : <Mark tone="info">{one.revokedAt ? "revoked" : one.usesLeft === 0 ? "used up" : "expired"}</Mark> },
    { title: "Uses left", width: "100px", order: (one) => one.usesLeft, cell: (one) => <span className="number">{one.usesLeft} of {one.usesTotal}</span> },
    { title: "Expires", width: "150px", order: (one) => one.expiresAt, cell: (one) => <Time at={one.expiresAt} relative /> },
    { title: "Made", width: "minmax(180px, 1fr)", order: (one) => one.createdAt,
      cell: (one) => <span className="ellipsis" style={{ display: "block" }}><Time at={one.createdAt} relative /> by {one.createdBy}</span> },
    { title: "", width: "100px", cell: (one) => operator && one.usable ? (
      <ConfirmButton label="Revoke" size="compact-xs" title={`Revoke the token ${one.label}?`} confirm="Revoke" act={() => revoke(one.id)}>
        <Text size="sm">No further node can enrol by it. Nodes that did stay.</Text>
      </ConfirmButton>
    ) : null },
  ];
  if (tokens.isPending) return <Loading label="Loading tokens" />;
  if (tokens.isError) return <Unavailable error={tokens.error} retry={() => void tokens.refetch()} />;
  return <DataTable label="Enrolment tokens" rows={tokens.data.items} columns={columns} rowKey={(one) => one.id}
    empty={<Empty icon={<IconTicket size={40} stroke={1.3} />} title="No tokens" action={operator && <EnrolButton />}>
      A node enrols with a token of limited uses and life. After that it has a certificate, and the token is no longer needed.
    </Empty>} />;
}
