import { Alert, Button, Group, Modal, NumberInput, Select, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, asProblem, body } from "../../api/client";
import type { ApiToken, Role } from "../../api/types";
import { ConfirmButton } from "../../components/confirm";
import { type Column, DataTable } from "../../components/DataTable";
import { Secret } from "../../components/Secret";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Foreign, Time } from "../../components/text";
import { ROLES } from "./Users";

const key = ["api-tokens"];

export function ApiTokens() {
  const queries = useQueryClient();
  const [opened, dialog] = useDisclosure();
  const tokens = useQuery({ queryKey: key, queryFn: () => body(api.GET("/tokens")) });
  const columns: Column<ApiToken>[] = [
    { title: "Name", width: "minmax(140px, 1.5fr)", order: (one) => one.name, cell: (one) => <Foreign text={one.name} /> },
    { title: "Role", width: "100px", order: (one) => one.role, cell: (one) => one.role },
    { title: "Only for", width: "minmax(140px, 1.5fr)", cell: (one) => <Foreign text={one.scopes.length === 0 ? "all that the role may" : one.scopes.join(", ")} /> },
    { title: "Expires", width: "110px", order: (one) => one.expiresAt ?? "9", cell: (one) => <Time at={one.expiresAt} relative /> },
    { title: "Last used", width: "110px", order: (one) => one.lastUsedAt ?? "", cell: (one) => <Time at={one.lastUsedAt} relative /> },
    { title: "Made", width: "minmax(150px, 1fr)", order: (one) => one.createdAt,
      cell: (one) => <span className="ellipsis" style={{ display: "block" }}><Time at={one.createdAt} relative /> by {one.createdBy}</span> },
    { title: "", width: "90px", cell: (one) => (
      <ConfirmButton label="Delete" size="compact-xs" title={`Delete the token ${one.name}?`} confirm="Delete" act={async () => {
        await body(api.DELETE("/tokens/{id}", { params: { path: { id: one.id } } }));
        await queries.invalidateQueries({ queryKey: key });
      }}><Text size="sm">What uses it is refused from now on.</Text></ConfirmButton>) },
  ];
  if (tokens.isPending) return <Loading label="Loading tokens" />;
  if (tokens.isError) return <Unavailable error={tokens.error} retry={() => void tokens.refetch()} />;
  return (
    <Stack>
      <Group justify="space-between">
        <Text size="sm" c="dimmed">For programs that use the API: sent as <span className="mono">Authorization: Bearer …</span></Text>
        <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>Make a token</Button>
      </Group>
      <DataTable label="API tokens" rows={tokens.data.items} columns={columns} rowKey={(one) => one.id}
        empty={<Empty icon={<IconKey size={40} stroke={1.3} />} title="No tokens">A token has a role, and may be narrowed to some resources.</Empty>} />
      <Modal opened={opened} onClose={dialog.close} size="lg" title={<Text fw={600}>Make an API token</Text>}><NewToken close={dialog.close} /></Modal>
    </Stack>
  );
}

function NewToken({ close }: { close: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("Auditor");
  const [scopes, setScopes] = useState<string[]>([]);
  const [days, setDays] = useState<number | "">(90);
  const make = useMutation({
    mutationFn: () => body(api.POST("/tokens", { body: { name, role, scopes, days: days === "" ? null : days } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: key }),
  });
  if (make.data) {
    return (
      <Stack>
        <Secret secret={make.data.secret} about="Give this to the program, by a file or its environment." />
        <Group justify="flex-end"><Button onClick={close}>Done</Button></Group>
      </Stack>
    );
  }
  return (
    <form onSubmit={(event) => { event.preventDefault(); make.mutate(); }}>
      <Stack>
        {make.isError && <Alert color="red" role="alert" title={asProblem(make.error).title}>{asProblem(make.error).detail}</Alert>}
        <TextInput label="Name" required data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <Select label="Role" data={ROLES} value={role} allowDeselect={false} onChange={(value) => value && setRole(value as Role)} />
        <TagsInput label="Only for" description="All that the role may, where empty" placeholder="policies:read" value={scopes} onChange={setScopes}
          data={["overview", "policies", "workloads", "events", "enforcers", "enrolment-tokens", "audit", "notifiers"].flatMap((one) => [`${one}:read`, `${one}:write`])} />
        <NumberInput label="Valid for, in days" description="For ever, where empty" min={1} max={3650} value={days}
          onChange={(value) => setDays(value === "" ? "" : Number(value))} />
        <Button type="submit" loading={make.isPending}>Make a token</Button>
      </Stack>
    </form>
  );
}
