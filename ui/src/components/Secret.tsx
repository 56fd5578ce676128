// A secret that is shown this once.
import { ActionIcon, Alert, Group, Stack, Text, Tooltip } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { IconCheck, IconCopy } from "@tabler/icons-react";

export function Secret({ secret, about }: { secret: string; about: string }) {
  const clipboard = useClipboard();
  return (
    <Stack gap="xs">
      <Alert color="yellow" py={8}>{about} It is shown this once.</Alert>
      <Group gap="xs" wrap="nowrap" align="flex-start">
        <code data-testid="secret" className="mono" style={{ flex: 1, overflowWrap: "anywhere", background: "var(--moat-sunken)", padding: "8px 12px", borderRadius: 8 }}>{secret}</code>
        <Tooltip label={clipboard.copied ? "Copied" : "Copy"}>
          <ActionIcon variant="default" size="lg" aria-label="Copy the secret" onClick={() => clipboard.copy(secret)}>
            {clipboard.copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
          </ActionIcon>
        </Tooltip>
      </Group>
      {clipboard.error && <Text size="xs" c="dimmed">The browser does not allow copying here: select it instead.</Text>}
    </Stack>
  );
}
