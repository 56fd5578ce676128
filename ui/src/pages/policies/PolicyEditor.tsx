// A policy being written: YAML and form side by side, mistakes at their line, and what it would do, before it is saved.
import { Alert, Button, Group, SegmentedControl, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconAlertTriangle, IconCircleCheck } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { useLocation, useNavigate, useParams } from "react-router";
import { api, asProblem, body, type Diagnostic, ifMatch } from "../../api/client";
import type { Policy } from "../../api/types";
import { Page } from "../../components/Page";
import { Loading, Unavailable } from "../../components/states";
import type { Schema } from "../../logic/completion";
import { type Exception, withException } from "../../logic/exception";
import { NEW_POLICY, PolicyForm } from "../../logic/policyForm";
import { printable } from "../../logic/printable";
import { FormView } from "./FormView";
import { WhatIf } from "./WhatIf";
import { YamlEditor } from "./YamlEditor";

/** What other pages hand over: a template's text, or an exception to be written into a rule. */
interface Handed {
  document?: string;
  exception?: Exception;
  rule?: string;
}

export default function PolicyEditor() {
  const { name } = useParams();
  const handed = (useLocation().state ?? {}) as Handed;
  const policy = useQuery({
    queryKey: ["policy-to-edit", name],
    queryFn: () => body(api.GET("/policies/{name}", { params: { path: { name: name ?? "" } } })),
    enabled: name !== undefined,
    // What is being edited must not change under the hands; saving says when it did.
    staleTime: Infinity, gcTime: 0,
  });
  const title = name ? `Edit ${name}` : "New policy";
  if (name === undefined) return <Editor title={title} saved={null} start={handed.document ?? NEW_POLICY} />;
  if (policy.isPending) return <Page title={title}><Loading label="Loading the policy" /></Page>;
  if (policy.isError) return <Page title={title}><Unavailable error={policy.error} retry={() => void policy.refetch()} /></Page>;
  const excepted = handed.exception && handed.rule
    ? withException(policy.data.document, handed.rule, handed.exception) : null;
  return (
    <Editor title={title} saved={policy.data} start={excepted ?? policy.data.document}
      notice={handed.exception && (excepted
        ? { text: `Added: ${handed.exception.title}. ${handed.exception.caution ?? ""} Nothing is saved yet.`, note: handed.exception.title }
        : { text: `The rule ${handed.rule ?? ""} is no longer there: the exception could not be added.`, note: "" })} />
  );
}

type Checked = { text: string; diagnostics: readonly Diagnostic[] };

function Editor({ title, saved, start, notice }:
  { title: string; saved: Policy | null; start: string; notice?: { text: string; note: string } | undefined }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [text, setText] = useState(start);
  const [note, setNote] = useState(notice?.note ?? "");
  const [side, setSide] = useState(notice?.note ? "what-if" : "form");
  const [checked, setChecked] = useState<Checked | null>(null);
  const [unchecked, setUnchecked] = useState<unknown>(null);
  const schema = useQuery({
    queryKey: ["policy-schema"], queryFn: () => body(api.GET("/policies/schema")) as Promise<Schema>, staleTime: Infinity,
  });

  const validate = useCallback(async (document: string) => {
    try {
      const { diagnostics } = await body(api.POST("/policies/validate", { body: { document } }));
      setChecked({ text: document, diagnostics });
      setUnchecked(null);
      return diagnostics;
    } catch (error) {
      setUnchecked(error);
      return [];
    }
  }, []);

  const dirty = text !== (saved?.document ?? start);
  useEffect(() => {
    if (!dirty) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [dirty]);

  const save = useMutation({
    mutationFn: () => saved
      ? body(api.PUT("/policies/{name}", {
          params: { path: { name: saved.name }, header: ifMatch(saved.revision) }, body: { document: text, note },
        }))
      : body(api.POST("/policies", { body: { document: text, note } })),
    onSuccess: async (policy) => {
      await queries.invalidateQueries({ queryKey: ["policies"] });
      await queries.invalidateQueries({ queryKey: ["policy", policy.name] });
      notifications.show({ message: `${policy.name} is saved as revision ${policy.revision}.` });
      void navigate(`/policies/${encodeURIComponent(policy.name)}`);
    },
  });
  const problem = save.isError ? asProblem(save.error) : null;
  const current = checked?.text === text ? checked : null;
  const errors = current?.diagnostics.filter(({ severity }) => severity === "Error") ?? [];
  const name = PolicyForm.read(text)?.text(["metadata", "name"]) ?? saved?.name ?? "";

  return (
    <Page title={title} fill about={saved ? `From revision ${saved.revision}` : "Start in audit mode: it reports what it would stop"}
      actions={<>
        <TextInput aria-label="Why this change" placeholder="Why this change (kept in the history)" w={290} value={note} maxLength={500}
          onChange={(event) => setNote(event.currentTarget.value)} />
        <Button variant="default" onClick={() => void navigate(saved ? `/policies/${encodeURIComponent(saved.name)}` : "/policies")}>Cancel</Button>
        <Button loading={save.isPending} disabled={!current || errors.length > 0 || (saved !== null && !dirty)} onClick={() => save.mutate()}>
          {saved ? "Save" : "Create"}
        </Button>
      </>}>
      {notice && <Alert color={notice.note ? "water" : "red"} mb="sm" py={8}>{printable(notice.text)}</Alert>}
      {problem && (
        <Alert color="red" role="alert" mb="sm" title={problem.title} withCloseButton onClose={() => save.reset()}>
          {problem.detail}
          {problem.status === 412 && " Copy your text, open the policy again, and write your change into what is there now."}
        </Alert>
      )}
      <div style={{ flex: 1, minHeight: 0, display: "grid", gridTemplateColumns: "minmax(0, 1fr) minmax(0, 1fr)", gap: 16 }}>
        <div style={{ display: "flex", flexDirection: "column", minHeight: 0, gap: 8 }}>
          <div style={{ flex: 1, minHeight: 0 }}>
            <YamlEditor text={text} onChange={setText} validate={validate} schema={schema.data} />
          </div>
          <Verdict current={current} unchecked={unchecked} />
        </div>
        <div style={{ display: "flex", flexDirection: "column", minHeight: 0, gap: 10 }}>
          <SegmentedControl aria-label="Beside the text" size="xs" value={side} onChange={setSide} style={{ alignSelf: "flex-start" }}
            data={[{ value: "form", label: "Form" }, { value: "what-if", label: "What if?" }]} />
          <div className="panel" style={{ flex: 1, minHeight: 0, overflow: "auto", padding: 18 }}>
            {side === "form" ? <FormView text={text} onChange={setText} />
              : <WhatIf name={saved?.name ?? null} shownName={name} document={text} ready={current !== null && errors.length === 0} />}
          </div>
        </div>
      </div>
    </Page>
  );
}

/** What the console's parser says. One line high while all is well, so that nothing moves. */
function Verdict({ current, unchecked }: { current: Checked | null; unchecked: unknown }) {
  const shared = { role: "status", "data-testid": "verdict", style: { minHeight: 24, maxHeight: 150, overflow: "auto" } } as const;
  if (unchecked) {
    return <div {...shared}><Text size="sm" c="var(--moat-critical)">It could not be checked: {asProblem(unchecked).message}</Text></div>;
  }
  if (!current) return <div {...shared}><Text size="sm" c="dimmed">Checking</Text></div>;
  if (current.diagnostics.length === 0) {
    return (
      <div {...shared}><Group gap={6} c="var(--moat-good)"><IconCircleCheck size={16} /><Text size="sm">The policy is valid.</Text></Group></div>
    );
  }
  return (
    <div {...shared}>
      {current.diagnostics.map((one) => (
        <Group key={`${one.line}:${one.column} ${one.message}`} gap={6} wrap="nowrap" align="flex-start"
          c={one.severity === "Error" ? "var(--moat-critical)" : "var(--moat-medium)"}>
          <IconAlertTriangle size={16} style={{ flexShrink: 0, marginTop: 2 }} />
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            <span className="number">Line {one.line}:</span> {printable(one.message)}{one.hint && <Text span c="dimmed" size="sm"> {printable(one.hint)}</Text>}
          </Text>
        </Group>
      ))}
    </div>
  );
}
