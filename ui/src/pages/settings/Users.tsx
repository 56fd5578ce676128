import { Alert, Button, Group, Modal, PasswordInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, asProblem, body, ifMatch } from "../../api/client";
import type { Role, User } from "../../api/types";
import { useSession } from "../../app/session";
import { ConfirmButton } from "../../components/confirm";
import { type Column, DataTable } from "../../components/DataTable";
import { Mark } from "../../components/marks";
import { Empty, Loading, Unavailable } from "../../components/states";
import { Foreign, Time } from "../../components/text";

export const ROLES: { value: Role; label: string }[] = [
  { value: "Auditor", label: "Auditor: sees everything, changes nothing" },
  { value: "Operator", label: "Operator: policies, nodes, notifiers" },
  { value: "Admin", label: "Administrator: everything" },
];
const usersKey = ["users"];

export function Users() {
  const queries = useQueryClient();
  const session = useSession();
  const [opened, dialog] = useDisclosure();
  const users = useQuery({ queryKey: usersKey, queryFn: () => body(api.GET("/users")) });
  const renew = () => queries.invalidateQueries({ queryKey: usersKey });
  const change = useMutation({
    mutationFn: ({ user, role, disabled }: { user: User; role?: Role; disabled?: boolean }) => body(api.PUT("/users/{id}", {
      params: { path: { id: user.id }, header: ifMatch(user.revision) }, body: { role: role ?? null, disabled: disabled ?? null, password: null },
    })),
    onSettled: renew,
  });
  const columns: Column<User>[] = [
    { title: "Name", width: "minmax(120px, 1.5fr)", order: (one) => one.name, cell: (one) => (
      <span style={{ fontWeight: 550 }}><Foreign text={one.id === session.user.id ? `${one.name} (you)` : one.name} /></span>) },
    { title: "Role", width: "130px", order: (one) => one.role, cell: (one) => (
      <Select aria-label={`Role of ${one.name}`} size="xs" variant="unstyled" allowDeselect={false} data={ROLES.map(({ value }) => value)} value={one.role}
        disabled={one.id === session.user.id || one.method === "Oidc"} title={one.method === "Oidc" ? "The provider says it at each sign-in" : undefined}
        onChange={(role) => role && change.mutate({ user: one, role: role as Role })} />) },
    { title: "Signs in by", width: "90px", cell: (one) => one.method === "Oidc" ? "provider" : "password" },
    { title: "State", width: "80px", cell: (one) => one.disabled ? <Mark tone="medium">locked</Mark> : <Mark tone="good">active</Mark> },
    { title: "Last here", width: "100px", order: (one) => one.lastLoginAt ?? "", cell: (one) => <Time at={one.lastLoginAt} relative /> },
    { title: "Made", width: "100px", order: (one) => one.createdAt, cell: (one) => <Time at={one.createdAt} relative /> },
    { title: "", width: "170px", cell: (one) => one.id === session.user.id ? null : (
      <Group gap={6} wrap="nowrap" justify="flex-end">
        <Button size="compact-xs" variant="default" onClick={() => change.mutate({ user: one, disabled: !one.disabled })}>
          {one.disabled ? "Unlock" : "Lock"}</Button>
        <ConfirmButton label="Delete" size="compact-xs" title={`Delete ${one.name}?`} confirm="Delete" act={async () => {
          await body(api.DELETE("/users/{id}", { params: { path: { id: one.id } } }));
          await renew();
        }}><Text size="sm">The user is signed out everywhere. What it did stays in the audit log.</Text></ConfirmButton>
      </Group>) },
  ];
  if (users.isPending) return <Loading label="Loading users" />;
  if (users.isError) return <Unavailable error={users.error} retry={() => void users.refetch()} />;
  return (
    <Stack>
      <Group justify="space-between">
        <Text size="sm" c="dimmed">People who may sign in here. With single sign-on they appear when they first do.</Text>
        <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>Add a user</Button>
      </Group>
      {change.isError && <Alert color="red" role="alert" title={asProblem(change.error).title}>{asProblem(change.error).detail}</Alert>}
      <DataTable label="Users" rows={users.data.items} columns={columns} rowKey={(one) => one.id} rowHeight={46} empty={<Empty title="No users" />} />
      <Modal opened={opened} onClose={dialog.close} title={<Text fw={600}>Add a user</Text>}>
        <NewUser done={async () => { dialog.close(); await renew(); }} />
      </Modal>
    </Stack>
  );
}

function NewUser({ done }: { done: () => Promise<void> }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<Role>("Auditor");
  const make = useMutation({ mutationFn: () => body(api.POST("/users", { body: { name, password, role } })), onSuccess: done });
  return (
    <form onSubmit={(event) => { event.preventDefault(); make.mutate(); }}>
      <Stack>
        {make.isError && <Alert color="red" role="alert" title={asProblem(make.error).title}>{asProblem(make.error).detail}</Alert>}
        <TextInput label="Name" required data-autofocus autoComplete="off" value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <PasswordInput label="Password" description="12 characters or more. The user can change it." required autoComplete="new-password" value={password}
          onChange={(event) => setPassword(event.currentTarget.value)} />
        <Select label="Role" data={ROLES} value={role} allowDeselect={false} onChange={(value) => value && setRole(value as Role)} />
        <Button type="submit" loading={make.isPending} disabled={password.length < 12}>Add</Button>
      </Stack>
    </form>
  );
}
