// Policies to start from.
import { Button, Code, Group, SimpleGrid, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { api, body } from "../../api/client";
import { useMay } from "../../app/session";
import { Page } from "../../components/Page";
import { Empty, Loading, Unavailable } from "../../components/states";

export default function Templates() {
  const operator = useMay("Operator");
  const templates = useQuery({
    queryKey: ["templates"], queryFn: () => body(api.GET("/policies/templates")), staleTime: Infinity,
  });
  return (
    <Page title="Templates" about="Each is a whole policy. Choose one, say which workloads it is for, and try it in audit mode first.">
      {templates.isPending ? <Loading label="Loading templates" />
        : templates.isError ? <Unavailable error={templates.error} retry={() => void templates.refetch()} />
        : templates.data.items.length === 0 ? <Empty title="This console has no templates" /> : (
          <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }} spacing="md">
            {templates.data.items.map((template) => (
              <section key={template.name} className="panel" style={{ padding: 18, display: "flex", flexDirection: "column", gap: 10 }}>
                <Group justify="space-between" wrap="nowrap" align="flex-start">
                  <Title order={2} size="0.95rem">{template.title}</Title>
                  {operator && (
                    <Button size="xs" variant="light" component={Link} to="/policies/new" state={{ document: template.document }}
                      aria-label={`Use the template ${template.title}`}>Use</Button>
                  )}
                </Group>
                <Text size="sm" c="dimmed">{template.description}</Text>
                <Code block fz={12} style={{ flex: 1, maxHeight: 260 }} tabIndex={0}>{template.document}</Code>
              </section>
            ))}
          </SimpleGrid>
        )}
    </Page>
  );
}
