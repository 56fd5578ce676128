// The head of each page, and panels with a title.
import { Group, Text, Title } from "@mantine/core";
import { type CSSProperties, type ReactNode, useEffect } from "react";

export function Page({ title, about, actions, children, fill }:
  { title: string; about?: ReactNode; actions?: ReactNode; children: ReactNode; fill?: boolean }) {
  useEffect(() => {
    document.title = `${title} · Moat`;
  }, [title]);
  const layout: CSSProperties = fill
    ? { height: "100%", display: "flex", flexDirection: "column", minHeight: 0 } : {};
  return (
    <div style={{ padding: "22px 28px", ...layout }}>
      <Group justify="space-between" align="flex-end" mb={18} wrap="nowrap">
        <div style={{ minWidth: 0 }}>
          <Title order={1} size="1.35rem" className="ellipsis">{title}</Title>
          {about && <Text c="dimmed" size="sm" mt={2} component="div">{about}</Text>}
        </div>
        {actions && <Group gap="xs" wrap="nowrap">{actions}</Group>}
      </Group>
      {children}
    </div>
  );
}

export function Panel({ title, aside, children, padding = 18, style }:
  { title?: ReactNode; aside?: ReactNode; children: ReactNode; padding?: number; style?: CSSProperties }) {
  return (
    <section className="panel" style={{ padding, minWidth: 0, ...style }}>
      {title && (
        <Group justify="space-between" mb={12} wrap="nowrap" style={padding === 0 ? { padding: "16px 18px 0" } : {}}>
          <Title order={2} size="0.9rem">{title}</Title>
          {aside}
        </Group>
      )}
      {children}
    </section>
  );
}
