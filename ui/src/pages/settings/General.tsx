import { NumberInput, Stack, TextInput } from "@mantine/core";
import { api } from "../../api/client";
import type { components } from "../../api/schema";
import { SettingForm, versioned } from "./SettingForm";

type ConsoleSettings = components["schemas"]["ConsoleSettings"];
type SessionSettings = components["schemas"]["SessionSettings"];

export function General() {
  return (
    <Stack>
      <SettingForm<ConsoleSettings> name="console" title="How the console is reached" read={() => versioned(api.GET("/settings/console"))}
        write={(body, header) => api.PUT("/settings/console", { params: { header }, body })}>
        {(value, change) => (
          <TextInput label="Address from outside" description="For links in notifications and for the single sign-on provider" placeholder="https://moat.example.org"
            value={value.externalUrl ?? ""} onChange={(event) => change({ ...value, externalUrl: event.currentTarget.value })} />
        )}
      </SettingForm>
      <SettingForm<SessionSettings> name="session" title="Sessions" read={() => versioned(api.GET("/settings/session"))}
        write={(body, header) => api.PUT("/settings/session", { params: { header }, body })}>
        {(value, change) => (
          <NumberInput label="Sign in again after, in hours" min={1} max={720} value={value.hours}
            onChange={(hours) => change({ ...value, hours: Number(hours) || 1 })} />
        )}
      </SettingForm>
    </Stack>
  );
}
