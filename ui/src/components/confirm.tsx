// A question before what cannot be taken back.
import { Alert, Button, Group, Modal, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { asProblem } from "../api/client";

export function ConfirmButton({ label, title, children, confirm, act, icon, size = "sm", variant = "default", color = "red.9" }: {
  label: string; title: string; children: ReactNode; confirm: string; act: () => Promise<unknown>; icon?: ReactNode;
  size?: "xs" | "sm" | "compact-xs"; variant?: string; color?: string;
}) {
  const [open, setOpen] = useState(false);
  const run = useMutation({ mutationFn: act, onSuccess: () => setOpen(false) });
  return (
    <>
      <Button size={size} variant={variant} leftSection={icon} onClick={() => { run.reset(); setOpen(true); }}>{label}</Button>
      <Modal opened={open} onClose={() => setOpen(false)} title={<Text fw={600}>{title}</Text>} size="lg">
        <div style={{ display: "grid", gap: 16 }}>
          <div>{children}</div>
          {run.isError && <Alert color="red" role="alert" title={asProblem(run.error).title}>{asProblem(run.error).detail}</Alert>}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={() => setOpen(false)}>Cancel</Button>
            <Button color={color} loading={run.isPending} onClick={() => run.mutate()}>{confirm}</Button>
          </Group>
        </div>
      </Modal>
    </>
  );
}
