// The states that every list and page has besides its content: loading, failed, empty.
import { Alert, Button, Center, Loader, Stack, Text, Title } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { asProblem } from "../api/client";

export function Loading({ label, tall }: { label: string; tall?: boolean }) {
  return (
    <Center mih={tall ? "100vh" : 240} role="status" aria-label={label}>
      <Loader size="sm" type="dots" />
    </Center>
  );
}

/** What failed, in the console's own words, and a way to try again. */
export function Unavailable({ error, retry, tall }: { error: unknown; retry?: () => void; tall?: boolean }) {
  const problem = asProblem(error);
  return (
    <Center mih={tall ? "100vh" : 240} p="lg">
      <Alert icon={<IconAlertTriangle size={18} />} color="red" title={problem.title} maw={560} role="alert">
        <Text size="sm">{problem.detail || "No reason was given."}</Text>
        {retry && (
          <Button mt="sm" size="xs" variant="default" onClick={retry}>
            Try again
          </Button>
        )}
      </Alert>
    </Center>
  );
}

/** An empty list says what would be in it, and how to get there. */
export function Empty({ icon, title, children, action }:
  { icon?: ReactNode; title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <Center mih={260} p="xl">
      <Stack align="center" gap="xs" maw={520} ta="center">
        {icon && <span style={{ color: "var(--mantine-color-dimmed)" }}>{icon}</span>}
        <Title order={3} size="h4">{title}</Title>
        <Text c="dimmed" size="sm" component="div">{children}</Text>
        {action && <div style={{ marginTop: 8 }}>{action}</div>}
      </Stack>
    </Center>
  );
}
