// The frame of the two pages that are seen before signing in.
import { Center, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

export function Entrance({ title, about, children }: { title: string; about: string; children: ReactNode }) {
  return (
    <Center component="main" mih="100dvh" p="md">
      <div className="panel" style={{ width: 400, padding: 32 }}>
        <Stack gap={6} mb="lg">
          <img src="/moat.svg" width={40} height={40} alt="Moat" />
          <Title order={1} size="1.35rem" mt={10}>{title}</Title>
          <Text c="dimmed" size="sm">{about}</Text>
        </Stack>
        {children}
      </div>
    </Center>
  );
}
