import { ActionIcon, Button, Group, PasswordInput, Select, SimpleGrid, Stack, Switch, TagsInput, Text, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { api } from "../../api/client";
import type { components } from "../../api/schema";
import type { Role } from "../../api/types";
import { SettingForm, versioned } from "./SettingForm";
import { ROLES } from "./Users";

type OidcSettings = components["schemas"]["OidcSettings"];

export function Oidc() {
  return (
    <SettingForm<OidcSettings> name="oidc" title="Single sign-on (OpenID Connect)" read={() => versioned(api.GET("/settings/oidc"))}
      write={(body, header) => api.PUT("/settings/oidc", { params: { header }, body })}>
      {(value, change) => {
        const set = (part: Partial<OidcSettings>) => change({ ...value, ...part });
        return (
          <>
            <Switch label="Offered on the sign-in page" checked={value.enabled ?? false} onChange={(event) => set({ enabled: event.currentTarget.checked })} />
            <SimpleGrid cols={2}>
              <TextInput label="Name" description="On the button: Sign in with …" value={value.name ?? ""} onChange={(event) => set({ name: event.currentTarget.value })} />
              <TextInput label="Issuer" description="Where /.well-known/openid-configuration is" placeholder="https://id.example.org" value={value.issuer ?? ""}
                onChange={(event) => set({ issuer: event.currentTarget.value })} />
              <TextInput label="Client id" value={value.clientId ?? ""} onChange={(event) => set({ clientId: event.currentTarget.value })} />
              <PasswordInput label="Client secret" placeholder="Kept as it is" autoComplete="off" value={value.clientSecret ?? ""}
                onChange={(event) => set({ clientSecret: event.currentTarget.value || null })} />
              <TagsInput label="Scopes, besides openid" placeholder="groups" value={value.scopes ?? []} onChange={(scopes) => set({ scopes })} />
              <TextInput label="Claim that says the role" placeholder="groups" value={value.roleClaim ?? ""} onChange={(event) => set({ roleClaim: event.currentTarget.value })} />
            </SimpleGrid>
            <RoleMap roles={value.roles ?? {}} change={(roles) => set({ roles })} />
            <Select label="Role of everybody else" placeholder="They may not come in" clearable data={ROLES} value={value.defaultRole ?? null}
              onChange={(role) => set({ defaultRole: role as Role | null })} />
            <Text size="sm" c="dimmed">Allow this redirect at the provider: <span className="mono">{window.location.origin}/api/v1/session/oidc/callback</span></Text>
          </>
        );
      }}
    </SettingForm>
  );
}

function RoleMap({ roles, change }: { roles: Record<string, Role>; change: (roles: Record<string, Role>) => void }) {
  const entries = Object.entries(roles);
  const replace = (index: number, entry: [string, Role] | null) =>
    change(Object.fromEntries(entries.flatMap((old, at) => at !== index ? [old] : entry ? [entry] : [])));
  return (
    <Stack gap={6}>
      <Text size="sm" fw={500}>Values of that claim, and their roles. The strongest counts.</Text>
      {entries.map(([claim, role], index) => (
        <Group key={index} gap="xs" wrap="nowrap">
          <TextInput aria-label="Value of the claim" style={{ flex: 1 }} value={claim} onChange={(event) => replace(index, [event.currentTarget.value, role])} />
          <Select aria-label={`Role of ${claim}`} w={150} allowDeselect={false} data={ROLES.map(({ value }) => value)} value={role}
            onChange={(next) => next && replace(index, [claim, next as Role])} />
          <ActionIcon variant="subtle" color="gray" aria-label={`Remove ${claim}`} onClick={() => replace(index, null)}><IconTrash size={16} /></ActionIcon>
        </Group>
      ))}
      <Group><Button size="xs" variant="default" leftSection={<IconPlus size={14} />} disabled={"" in roles}
        onClick={() => change({ ...roles, "": "Auditor" })}>Add a value</Button></Group>
    </Stack>
  );
}
