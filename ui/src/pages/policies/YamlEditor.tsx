// The text of a policy. The console's own parser says what is wrong with it, at its line.
import { autocompletion, type CompletionContext, type CompletionResult, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic as Mistake, linter, lintGutter, lintKeymap } from "@codemirror/lint";
import { EditorState, type Text } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import type { Diagnostic } from "../../api/client";
import { placeAt, type Schema, suggestions } from "../../logic/completion";

interface Options {
  text: string;
  onChange: (text: string) => void;
  validate: (text: string) => Promise<readonly Diagnostic[]>;
  schema: Schema | undefined;
}

export function YamlEditor({ text, onChange, validate, schema }: Options) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const options = useRef({ onChange, validate, schema });
  options.current = { onChange, validate, schema };
  const first = useRef(text);

  useEffect(() => {
    if (!host.current) return;
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: first.current,
        extensions: [
          lineNumbers(), highlightActiveLine(), highlightActiveLineGutter(), highlightSpecialChars(), drawSelection(),
          history(), indentOnInput(), bracketMatching(), indentUnit.of("  "), EditorState.tabSize.of(2),
          yaml(), syntaxHighlighting(COLORS), LOOK, lintGutter(),
          linter(async ({ state }) => mistakes(state.doc, await options.current.validate(state.doc.toString())), { delay: 250 }),
          autocompletion({ override: [(context) => complete(context, options.current.schema)] }),
          keymap.of([...completionKeymap, ...lintKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) options.current.onChange(update.state.doc.toString());
          }),
          // Tab indents here; Escape, then Tab, leaves the editor (WCAG 2.2, 2.1.2).
          EditorView.contentAttributes.of({ "aria-label": "Policy, as YAML. Escape, then Tab leaves the editor" }),
        ],
      }),
    });
    view.current = editor;
    return () => {
      view.current = null;
      editor.destroy();
    };
  }, []);

  // The form wrote, or the document came.
  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const before = editor.state.doc.toString();
    if (before === text) return;
    editor.dispatch({ changes: change(before, text) });
  }, [text]);

  return <div ref={host} className="panel" style={{ height: "100%", overflow: "hidden" }} data-testid="editor" />;
}

/** The one stretch that differs, so that the cursor and the scrolling stay where they are. */
function change(before: string, after: string): { from: number; to: number; insert: string } {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < before.length - start && end < after.length - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  return { from: start, to: before.length - end, insert: after.slice(start, after.length - end) };
}

/** Lines and columns of the parser, from 1, as offsets of the text. Columns count characters, offsets UTF-16 units. */
function mistakes(document: Text, diagnostics: readonly Diagnostic[]): Mistake[] {
  const offset = (line: number, column: number) => {
    const place = document.line(Math.min(Math.max(line, 1), document.lines));
    return place.from + [...place.text].slice(0, Math.max(0, column - 1)).join("").length;
  };
  return diagnostics.map((diagnostic) => {
    const from = offset(diagnostic.line, diagnostic.column);
    return {
      from,
      to: Math.max(from, offset(diagnostic.endLine, diagnostic.endColumn)),
      severity: diagnostic.severity === "Error" ? "error" : "warning",
      message: diagnostic.hint ? `${diagnostic.message}\n${diagnostic.hint}` : diagnostic.message,
    };
  });
}

function complete(context: CompletionContext, schema: Schema | undefined): CompletionResult | null {
  if (!schema) return null;
  const word = context.matchBefore(/[\w-]*/);
  if (!word || (word.from === word.to && !context.explicit)) return null;
  const line = context.state.doc.lineAt(context.pos);
  const lines = context.state.doc.toString().split("\n");
  const place = placeAt(lines, line.number - 1, word.from - line.from);
  return {
    from: word.from,
    options: suggestions(schema, place).map(({ label, detail, apply }) => ({
      label, apply, type: place.value ? "enum" : "property", ...(detail ? { info: detail } : {}),
    })),
    validFor: /^[\w-]*$/,
  };
}

const COLORS = HighlightStyle.define([
  { tag: [tags.definition(tags.propertyName), tags.propertyName], color: "var(--moat-accent)" },
  { tag: tags.comment, color: "var(--mantine-color-dimmed)", fontStyle: "italic" },
  { tag: [tags.string, tags.attributeValue, tags.content], color: "var(--mantine-color-text)" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: "var(--mantine-color-dimmed)" },
]);

const LOOK = EditorView.theme({
  ".cm-gutters": { background: "transparent", color: "var(--mantine-color-dimmed)", border: "none", paddingLeft: "6px" },
  ".cm-content": { caretColor: "var(--mantine-color-text)", padding: "12px 0" },
  ".cm-cursor": { borderLeftColor: "var(--mantine-color-text)" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "color-mix(in srgb, var(--moat-accent) 6%, transparent)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--moat-accent) 24%, transparent) !important" },
  ".cm-tooltip": { background: "var(--moat-surface)", border: "1px solid var(--moat-border)", borderRadius: "8px",
    boxShadow: "var(--mantine-shadow-md)", overflow: "hidden" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { background: "var(--moat-selected)", color: "var(--mantine-color-text)" },
  ".cm-completionInfo": { maxWidth: "320px", fontFamily: "var(--mantine-font-family)" },
  ".cm-diagnostic": { whiteSpace: "pre-wrap", padding: "6px 10px", fontFamily: "var(--mantine-font-family)" },
  ".cm-diagnostic-error": { borderLeft: "3px solid var(--moat-critical)" },
  ".cm-diagnostic-warning": { borderLeft: "3px solid var(--moat-medium)" },
});
