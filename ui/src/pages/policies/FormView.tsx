// The form view of a policy: the same text as the editor beside it, field by field.
import { ActionIcon, Button, Group, MultiSelect, Select, Stack, Switch, TagsInput, Text, TextInput, Title, Tooltip } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useMemo } from "react";
import { Empty } from "../../components/states";
import { ACTIONS, type Field, MATCHERS, type Path, PolicyForm, type RuleView, SELECTORS, SEVERITIES } from "../../logic/policyForm";

type Change = (text: string) => void;

export function FormView({ text, onChange }: { text: string; onChange: Change }) {
  const form = useMemo(() => PolicyForm.read(text), [text]);
  if (!form) {
    return <Empty title="No form for this text">The YAML has a mistake. Mend it at the marked line, and the form is back.</Empty>;
  }
  if (form.kind !== "RuntimePolicy") {
    return <Empty title="No form for this kind">Forms are for runtime policies. The editor knows every kind.</Empty>;
  }
  const rules = form.rules();
  return (
    <Stack gap={22}>
      <div style={TWO}>
        <Input form={form} path={["metadata", "name"]} field={{ key: "", label: "Name", kind: "text" }} onChange={onChange} />
        <Input form={form} path={["spec", "mode"]} onChange={onChange}
          field={{ key: "", label: "Mode", kind: "choice", options: ["Audit", "Enforce"], about: "Audit only reports what would be done" }} />
        <Input form={form} path={["spec", "enforceAfter"]} onChange={onChange}
          field={{ key: "", label: "Enforce only after", kind: "text", placeholder: "14d, or 2026-12-01" }} />
      </div>
      <section>
        <Title order={3} size="0.85rem" mb={10}>Which workloads</Title>
        <div style={TWO}>
          {SELECTORS.map((field) => (
            <Input key={field.key} form={form} path={["spec", ...field.key.split(".")]} field={field} onChange={onChange} />
          ))}
        </div>
      </section>
      <section>
        <Group justify="space-between" mb={10}>
          <Title order={3} size="0.85rem">Rules</Title>
          <Button size="xs" variant="light" leftSection={<IconPlus size={14} />} onClick={() => onChange(form.withNewRule())}>Add rule</Button>
        </Group>
        <Stack gap={12}>
          {rules.map((rule, index) => <RuleForm key={index} form={form} rule={rule} index={index} onChange={onChange} />)}
        </Stack>
      </section>
    </Stack>
  );
}

const TWO = { display: "grid", gridTemplateColumns: "repeat(auto-fit, minmax(190px, 1fr))", gap: 12, alignItems: "start" } as const;

function RuleForm({ form, rule, index, onChange }: { form: PolicyForm; rule: RuleView; index: number; onChange: Change }) {
  const base: Path = ["spec", "rules", index];
  const matcher = rule.matcher;
  return (
    <fieldset style={{ border: "1px solid var(--moat-border)", borderRadius: 10, padding: 14, margin: 0, minWidth: 0 }}>
      <legend style={{ padding: "0 6px", fontWeight: 600 }}>{rule.name || `rule ${index + 1}`}</legend>
      <div style={TWO}>
        <Input form={form} path={[...base, "name"]} field={{ key: "", label: "Rule", kind: "text" }} onChange={onChange} />
        <Input form={form} path={[...base, "severity"]} field={{ key: "", label: "Severity", kind: "choice", options: SEVERITIES, placeholder: "Medium" }} onChange={onChange} />
        <Input form={form} path={[...base, "action"]} field={{ key: "", label: "Action", kind: "choice", options: ACTIONS }} onChange={onChange} />
        <Select size="xs" label="About" allowDeselect={false} value={matcher} placeholder="Choose"
          data={Object.entries(MATCHERS).map(([value, { title }]) => ({ value, label: title }))}
          onChange={(value) => value && value !== matcher && onChange(form.withMatcher(index, value))} />
      </div>
      {matcher && (
        <div style={{ ...TWO, marginTop: 12 }}>
          {MATCHERS[matcher]?.fields.map((field) => (
            <Input key={field.key} form={form} field={field} onChange={onChange}
              path={[...base, matcher, ...(field.key === "" ? [] : field.key.split("."))]} />
          ))}
        </div>
      )}
      <Group justify="flex-end" mt={6}>
        <Tooltip label="Remove this rule">
          <ActionIcon variant="subtle" color="red" aria-label={`Remove the rule ${rule.name}`} onClick={() => onChange(form.withoutRule(index))}>
            <IconTrash size={16} />
          </ActionIcon>
        </Tooltip>
      </Group>
    </fieldset>
  );
}

function Input({ form, path, field, onChange }: { form: PolicyForm; path: Path; field: Field; onChange: Change }) {
  const shared = { size: "xs", label: field.label, description: field.about, placeholder: field.placeholder } as const;
  switch (field.kind) {
    case "text":
      return <TextInput {...shared} value={form.text(path)} onChange={(event) => onChange(form.with(path, event.currentTarget.value))} />;
    case "choice":
      return <Select {...shared} data={[...(field.options ?? [])]} value={form.text(path) || null} clearable={false}
        onChange={(value) => value && onChange(form.with(path, value))} />;
    case "choices":
      return <MultiSelect {...shared} data={[...(field.options ?? [])]} value={form.list(path)} onChange={(value) => onChange(form.with(path, value))} />;
    case "list":
      return <TagsInput {...shared} value={form.list(path)} splitChars={[","]} acceptValueOnBlur onChange={(value) => onChange(form.with(path, value))} />;
    case "labels":
      return <TagsInput {...shared} value={form.labels(path)} acceptValueOnBlur
        onChange={(value) => onChange(form.with(path, Object.fromEntries(value.map(split))))} />;
    case "switch":
      return (
        <Switch size="sm" mt={22} label={<Text size="xs" fw={500}>{field.label}</Text>} checked={form.text(path) === "true"}
          onChange={(event) => onChange(form.with(path, event.currentTarget.checked))} />
      );
  }
}

function split(label: string): [string, string] {
  const at = label.indexOf("=");
  return at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
}
