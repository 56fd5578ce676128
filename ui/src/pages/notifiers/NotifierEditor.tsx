// A notifier is made or changed: where it sends to, by which secrets, and which events.
import { Alert, Button, Group, MultiSelect, NumberInput, PasswordInput, Select, SimpleGrid, Stack, Switch, TagsInput, Text, Textarea, TextInput, UnstyledButton } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import {
  IconBrandSlack, IconChevronDown, IconChevronRight, IconFileText, IconSearch, IconServer2, IconTelescope, IconTerminal2, IconWebhook,
} from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { api, asProblem, body, ifMatch } from "../../api/client";
import type { Notifier } from "../../api/types";
import { useMay } from "../../app/session";
import { SEVERITIES } from "../../components/marks";
import { Page, Panel } from "../../components/Page";
import { Empty, Loading, Unavailable } from "../../components/states";
import { EVENT_ACTIONS, EVENT_TYPES } from "../../logic/eventFilter";
import {
  address, type DestinationField, type Draft, draftOf, type Kind, kindOf, KINDS, mistakes, newDraft, type SecretField, written,
} from "../../logic/notifierForm";
import { printable } from "../../logic/printable";
import { notifierKey } from "./Notifier";

const ICONS: Record<Kind, ReactNode> = {
  syslog: <IconTerminal2 size={22} stroke={1.6} />, splunk: <IconServer2 size={22} stroke={1.6} />,
  elasticsearch: <IconSearch size={22} stroke={1.6} />, webhook: <IconWebhook size={22} stroke={1.6} />,
  slack: <IconBrandSlack size={22} stroke={1.6} />, otlp: <IconTelescope size={22} stroke={1.6} />,
  file: <IconFileText size={22} stroke={1.6} />,
};

export default function NotifierEditor() {
  const { id } = useParams();
  const operator = useMay("Operator");
  const before = useQuery({
    queryKey: ["notifier-to-edit", id],
    queryFn: () => body(api.GET("/notifiers/{id}", { params: { path: { id: id ?? "" } } })),
    enabled: id !== undefined,
    // What is being changed does not change under the hand; a save over something newer is refused.
    staleTime: Infinity, gcTime: 0, refetchOnWindowFocus: false, refetchOnReconnect: false,
  });
  if (!operator) {
    return <Page title="Notifier"><Empty title="For operators" action={<Link to="/notifiers">To the notifiers</Link>}>
      Your role reads notifiers and does not change them.</Empty></Page>;
  }
  if (id === undefined) return <Choice />;
  if (before.isPending) return <Page title="Notifier"><Loading label="Loading the notifier" /></Page>;
  if (before.isError) return <Page title="Notifier"><Unavailable error={before.error} retry={() => void before.refetch()} /></Page>;
  return <Form key={before.data.revision} start={draftOf(before.data)} before={before.data} reload={() => void before.refetch()} />;
}

/** Which kind, before its form. */
function Choice() {
  const [kind, setKind] = useState<Kind | null>(null);
  if (kind) return <Form key={kind} start={newDraft(kind)} before={null} back={() => setKind(null)} />;
  return (
    <Page title="New notifier" about="Where shall events go?" actions={<Button variant="default" component={Link} to="/notifiers">Cancel</Button>}>
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="md" maw={1200}>
        {(Object.keys(KINDS) as Kind[]).map((one) => (
          <UnstyledButton key={one} className="panel choice" onClick={() => setKind(one)} style={{ padding: 18 }}>
            <Group gap={14} wrap="nowrap" align="flex-start">
              <span style={{ color: "var(--moat-accent)", flexShrink: 0 }} aria-hidden>{ICONS[one]}</span>
              <div><Text fw={600}>{kindOf(one).title}</Text><Text size="sm" c="dimmed">{kindOf(one).about}</Text></div>
            </Group>
          </UnstyledButton>
        ))}
      </SimpleGrid>
    </Page>
  );
}

interface FormOptions {
  start: Draft;
  before: Notifier | null;
  back?: () => void;
  reload?: () => void;
}

function Form({ start, before, back, reload }: FormOptions) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [draft, setDraft] = useState(start);
  const [tried, setTried] = useState(false);
  const kind = kindOf(draft.kind);
  const moved = before !== null && before.secrets.length > 0 && address(draft) !== address(start);
  // Secrets are kept for the address that they were entered for.
  const entered: Draft = moved && draft.secrets === null ? { ...draft, secrets: {} } : draft;
  const wrong = mistakes(entered);
  const error = (field: string) => (tried ? wrong[field] : undefined);
  const change = (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part }));
  const set = (name: string, value: string | number | boolean) => setDraft((old) => ({ ...old, values: { ...old.values, [name]: value } }));

  const save = useMutation({
    mutationFn: () => before
      ? body(api.PUT("/notifiers/{id}", { params: { path: { id: before.id }, header: ifMatch(before.revision) }, body: written(entered) }))
      : body(api.POST("/notifiers", { body: written(entered) })),
    onSuccess: async (notifier) => {
      queries.setQueryData(notifierKey(notifier.id), notifier);
      await queries.invalidateQueries({ queryKey: ["notifiers"] });
      notifications.show({ message: before ? `${notifier.name} is saved.` : `${notifier.name} sends from now on. Send a test to see whether it arrives.` });
      void navigate(`/notifiers/${notifier.id}`);
    },
  });
  const problem = save.isError ? asProblem(save.error) : null;
  const fields = kind.fields.filter(({ when }) => when === undefined || when(draft.values));
  const advanced = fields.filter((field) => field.advanced);

  return (
    <Page title={before ? `Change ${printable(before.name)}` : `New notifier: ${kind.title}`} about={kind.about}
      actions={<>
        {back && <Button variant="default" onClick={back}>Another kind</Button>}
        <Button variant="default" component={Link} to={before ? `/notifiers/${before.id}` : "/notifiers"}>Cancel</Button>
        <Button type="submit" form="notifier" loading={save.isPending}>{before ? "Save" : "Create"}</Button>
      </>}>
      <form id="notifier" noValidate onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (Object.keys(wrong).length === 0) save.mutate();
      }}>
        <Stack maw={1200}>
          {problem && (
            <Alert color="red" role="alert" title={problem.title} withCloseButton onClose={() => save.reset()}>
              {printable(problem.detail)}
              {problem.status === 412 && reload && (
                <Group mt="xs"><Button size="xs" variant="default" onClick={reload}>Show what is there now</Button>
                  <Text size="sm" c="dimmed">What you entered here is lost.</Text></Group>
              )}
            </Alert>
          )}
          <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md" style={{ alignItems: "start" }}>
            <Panel title="Where it sends to">
              <Stack>
                <TextInput label="Name" required autoFocus value={draft.name} maxLength={100} {...named(error("name"))}
                  onChange={(event) => change({ name: event.currentTarget.value })} />
                {fields.filter((field) => !field.advanced).map((field) => (
                  <Input key={field.name} field={field} value={draft.values[field.name]} set={set} {...named(error(`destination.${field.name}`))} />
                ))}
                {kind.secrets.length > 0 && (
                  <SecretsInput kept={before?.secrets ?? []} moved={moved} draft={entered} fields={kind.secrets} error={error}
                    change={(secrets) => change({ secrets })} />
                )}
                {advanced.length > 0 && <Advanced open={advanced.some(({ name, start: usual }) => (draft.values[name] ?? "") !== (usual ?? ""))}>
                  {advanced.map((field) => <Input key={field.name} field={field} value={draft.values[field.name]} set={set} />)}
                </Advanced>}
              </Stack>
            </Panel>
            <Panel title="Which events">
              <Stack>
                <Text size="sm" c="dimmed">All conditions must hold; what is left empty does not restrict.</Text>
                <Select label="Severity" placeholder="Any" clearable value={draft.minSeverity || null}
                  data={SEVERITIES.map((one) => ({ value: one, label: one === "Critical" ? one : `${one} or worse` }))}
                  onChange={(value) => change({ minSeverity: value ?? "" })} />
                <MultiSelect label="Types" clearable searchable placeholder={draft.types.length === 0 ? "Any" : ""} data={[...EVENT_TYPES]} value={draft.types}
                  onChange={(types) => change({ types })} />
                <MultiSelect label="What Moat did" clearable searchable placeholder={draft.actions.length === 0 ? "Anything" : ""} data={[...EVENT_ACTIONS]}
                  value={draft.actions} onChange={(actions) => change({ actions })} />
                <TagsInput label="Namespaces" placeholder={draft.namespaces.length === 0 ? "shop, team-*" : ""} value={draft.namespaces}
                  onChange={(namespaces) => change({ namespaces })} acceptValueOnBlur />
                <TagsInput label="Not these namespaces" placeholder={draft.excludeNamespaces.length === 0 ? "kube-*" : ""} value={draft.excludeNamespaces}
                  onChange={(excludeNamespaces) => change({ excludeNamespaces })} acceptValueOnBlur />
                <TextInput label="Pods with these labels" placeholder="app=web,tier in (front, back),!beta"
                  description="As kubectl’s --selector. With labels or namespaces, events of no workload do not pass." value={draft.labels}
                  error={draft.labels ? wrong["labels"] : undefined} onChange={(event) => change({ labels: event.currentTarget.value })} />
              </Stack>
            </Panel>
          </SimpleGrid>
        </Stack>
      </form>
    </Page>
  );
}

/** Absent rather than undefined. */
function named(error: string | undefined): { error?: string } {
  return error ? { error } : {};
}

function Input({ field, value, set, error }:
  { field: DestinationField; value: string | number | boolean | undefined; set: (name: string, value: string | number | boolean) => void; error?: string }) {
  const shared = {
    label: field.label, ...(field.about ? { description: field.about } : {}), ...(field.placeholder ? { placeholder: field.placeholder } : {}),
    ...named(error), required: field.required ?? false,
  };
  const text = value === undefined ? "" : String(value);
  switch (field.kind) {
    case "choice":
      return <Select {...shared} data={[...(field.options ?? [])]} value={text} allowDeselect={false} onChange={(next) => next && set(field.name, next)} />;
    case "number":
      return <NumberInput {...shared} min={0} allowDecimal={false} value={text} onChange={(next) => set(field.name, next === "" ? "" : Number(next))} />;
    case "area":
      return <Textarea {...shared} autosize minRows={3} maxRows={10} styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }} value={text}
        onChange={(event) => set(field.name, event.currentTarget.value)} />;
    case "switch":
      return <Switch label={field.label} checked={value === true} onChange={(event) => set(field.name, event.currentTarget.checked)} />;
    default:
      return <TextInput {...shared} value={text} onChange={(event) => set(field.name, event.currentTarget.value)} />;
  }
}

function SecretsInput({ kept, moved, draft, fields, error, change }: {
  kept: readonly string[]; moved: boolean; draft: Draft; fields: readonly SecretField[];
  error: (field: string) => string | undefined; change: (secrets: Draft["secrets"]) => void;
}) {
  if (draft.secrets === null) {
    return (
      <Group justify="space-between" wrap="nowrap">
        <div><Text size="sm" fw={500}>Secrets</Text>
          <Text size="sm" c="dimmed">{kept.join(", ")}: kept sealed, never shown again</Text></div>
        <Button size="xs" variant="default" onClick={() => change({})}>Replace</Button>
      </Group>
    );
  }
  const secrets = draft.secrets;
  return (
    <Stack gap="sm">
      {moved && <Alert color="yellow" py={8}>Secrets are kept for the address that they were entered for: enter them again.</Alert>}
      {fields.map(({ name, label, about, required }) => (
        <PasswordInput key={name} label={label} required={required ?? false} autoComplete="new-password" {...(about ? { description: about } : {})}
          {...named(error(`secrets.${name}`))} value={secrets[name] ?? ""}
          onChange={(event) => change({ ...secrets, [name]: event.currentTarget.value })} />
      ))}
      {kept.length > 0 && !moved && (
        <Group gap="sm"><Button size="xs" variant="subtle" onClick={() => change(null)}>Keep the ones that are there</Button>
          <Text size="xs" c="dimmed">What is left empty here is taken away.</Text></Group>
      )}
    </Stack>
  );
}

function Advanced({ open: start, children }: { open: boolean; children: ReactNode }) {
  const [open, setOpen] = useState(start);
  return (
    <div>
      <Button variant="subtle" color="gray" size="compact-sm" aria-expanded={open} onClick={() => setOpen(!open)}
        leftSection={open ? <IconChevronDown size={14} /> : <IconChevronRight size={14} />}>Seldom needed</Button>
      {open && <Stack mt="sm">{children}</Stack>}
    </div>
  );
}
