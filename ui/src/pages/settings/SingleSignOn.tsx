// The provider by which people sign in, with a test that asks it about itself.
import { ActionIcon, Alert, Button, Code, Group, PasswordInput, Select, Stack, Switch, Table, TagsInput, Text, TextInput } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, asProblem, body } from "../../api/client";
import type { components } from "../../api/schema";
import type { Role } from "../../api/types";
import { Foreign } from "../../components/text";
import { SettingForm, versioned } from "./SettingForm";
import { ROLES } from "./Users";

type OidcSettings = components["schemas"]["OidcSettings"];

const NAMES = ROLES.map(({ value }) => value);

export function SingleSignOn() {
  return (
    <SettingForm<OidcSettings> name="oidc" title="Single sign-on by OpenID Connect" read={() => versioned(api.GET("/settings/oidc"))}
      write={(body, header) => api.PUT("/settings/oidc", { params: { header }, body })}>
      {(value, change) => <Fields value={value} change={change} />}
    </SettingForm>
  );
}

function Fields({ value, change }: { value: OidcSettings; change: (value: OidcSettings) => void }) {
  return (
    <>
      <Switch label="People sign in by this provider" checked={value.enabled ?? false}
        onChange={(event) => change({ ...value, enabled: event.currentTarget.checked })} />
      <TextInput label="Name" description="On the button: Sign in with …" placeholder="Keycloak" value={value.name ?? ""}
        onChange={(event) => change({ ...value, name: event.currentTarget.value })} />
      <TextInput label="Issuer" description="As the provider itself writes it, with or without a slash at the end" placeholder="https://login.example.org/realms/main"
        value={value.issuer ?? ""} onChange={(event) => change({ ...value, issuer: event.currentTarget.value })} />
      <TextInput label="Client ID" value={value.clientId ?? ""} onChange={(event) => change({ ...value, clientId: event.currentTarget.value })} />
      <PasswordInput label="Client secret" description="Kept as it is where empty, as long as the issuer is the same" autoComplete="off" value={value.clientSecret ?? ""}
        onChange={(event) => change({ ...value, clientSecret: event.currentTarget.value || null })} />
      <TagsInput label="Scopes" description="Besides openid" placeholder="profile, email, groups" value={value.scopes ?? []}
        onChange={(scopes) => change({ ...value, scopes })} />
      <TextInput label="Claim of the role" description="Of the ID token: groups, or realm_access.roles" placeholder="groups" value={value.roleClaim ?? ""}
        onChange={(event) => change({ ...value, roleClaim: event.currentTarget.value })} />
      <Roles roles={value.roles ?? {}} change={(roles) => change({ ...value, roles })} />
      <Select label="Everybody else" data={ROLES} placeholder="does not come in" clearable value={value.defaultRole ?? null}
        onChange={(role) => change({ ...value, defaultRole: role as Role | null })} />
      <Provider settings={value} />
    </>
  );
}

function Roles({ roles, change }: { roles: Record<string, Role>; change: (roles: Record<string, Role>) => void }) {
  const [next, setNext] = useState("");
  const add = () => {
    if (next) change({ ...roles, [next]: roles[next] ?? "Auditor" });
    setNext("");
  };
  return (
    <Stack gap={4}>
      <Text size="sm" fw={500}>Roles by the claim's values; the strongest counts</Text>
      {Object.keys(roles).length > 0 && (
        <Table verticalSpacing={4} withRowBorders={false}>
          <Table.Tbody>
            {Object.entries(roles).map(([name, role]) => (
              <Table.Tr key={name}>
                <Table.Td><Foreign text={name} /></Table.Td>
                <Table.Td w={180}><Select aria-label={`Role of ${name}`} size="xs" data={NAMES} value={role} allowDeselect={false}
                  onChange={(to) => to && change({ ...roles, [name]: to as Role })} /></Table.Td>
                <Table.Td w={40}><ActionIcon variant="subtle" color="gray" aria-label={`No role for ${name}`}
                  onClick={() => change(Object.fromEntries(Object.entries(roles).filter(([other]) => other !== name)))}><IconTrash size={16} /></ActionIcon></Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
      <Group gap="xs">
        <TextInput aria-label="Another value of the claim" placeholder="moat-admins" size="xs" w={240} value={next}
          onChange={(event) => setNext(event.currentTarget.value)}
          onKeyDown={(event) => { if (event.key === "Enter") { event.preventDefault(); add(); } }} />
        <Button size="xs" variant="default" disabled={!next} onClick={add}>Add</Button>
      </Group>
    </Stack>
  );
}

function Provider({ settings }: { settings: OidcSettings }) {
  const known = useQuery({ queryKey: ["setting", "oidc", "registration"], queryFn: () => body(api.GET("/settings/oidc/registration")) });
  const test = useMutation({ mutationFn: () => body(api.POST("/settings/oidc/test", { body: settings })) });
  const failed = test.error ?? known.error;
  return (
    <Stack gap="xs">
      {known.data && <Text size="sm">Redirect URI, to be registered at the provider: <Code>{known.data.redirectUri}</Code></Text>}
      {failed && <Alert color="red" role="alert" title={asProblem(failed).title}>{asProblem(failed).detail}</Alert>}
      {test.data?.problem && <Alert color="red" role="alert" title="People could not sign in">{test.data.problem}</Alert>}
      {test.data && !test.data.problem && (
        <Alert color="green" role="status" title="The provider answers">
          People would sign in at <Foreign text={test.data.authorizationEndpoint ?? ""} />. Whether it accepts client ID, secret and redirect URI shows at the first sign-in.
        </Alert>
      )}
      <Group><Button variant="default" loading={test.isPending} onClick={() => test.mutate()}>Ask the provider</Button></Group>
    </Stack>
  );
}
