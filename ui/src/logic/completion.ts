// What may stand at a place of a YAML document, by its JSON Schema.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  description?: string;
  required?: string[];
  $defs?: Record<string, Schema>;
  definitions?: Record<string, Schema>;
}

export interface Suggestion {
  label: string;
  detail: string;
  /** What is written, where it is more than the label. */
  apply: string;
}

/** Where the cursor is: the keys above it, and whether it stands behind a key's colon. */
export interface Place {
  /** Keys from the root; `-` for a list's item. */
  path: string[];
  value: boolean;
  /** Keys that are there already, beside the cursor. */
  siblings: string[];
}

const LINE = /^(\s*)((?:-\s+)*)(?:([\w./-]+)\s*:(?:\s(.*))?)?/;

interface Line {
  indent: number;
  dashes: number[];
  key: string | undefined;
}

function read(text: string): Line | null {
  if (/^\s*(#|$)/.test(text)) return null;
  const [, space = "", dashes = "", key] = LINE.exec(text) ?? [];
  const columns = [...dashes.matchAll(/-/g)].map((dash) => space.length + dash.index);
  return { indent: space.length + dashes.length, dashes: columns, key };
}

/** `lines` are those of the document, `row` counts from 0; what is behind the cursor in its line is not looked at. */
export function placeAt(lines: readonly string[], row: number, column: number): Place {
  const current = (lines[row] ?? "").slice(0, column);
  const own = read(current.trim() === "" ? `${current}x` : /^\s*-\s*$/.test(current) ? `${current.trimEnd()} x` : current);
  const value = /^\s*(?:-\s+)*[\w./-]+\s*:\s/.test(current) || /[[,{]\s*[\w-]*$/.test(current);
  const path: string[] = [];
  if (value && own?.key) path.unshift(own.key);
  let indent = own?.indent ?? 0;
  const siblings: string[] = [];
  const climb = (dashes: readonly number[]) => {
    for (const dash of [...dashes].reverse()) {
      path.unshift("-");
      indent = dash;
    }
  };
  let inItem = (own?.dashes.length ?? 0) > 0;
  climb(own?.dashes ?? []);
  const keysIndent = own?.indent ?? 0;
  for (let above = row - 1; above >= 0; above -= 1) {
    const line = read(lines[above] ?? "");
    if (!line) continue;
    if (!inItem && line.indent === keysIndent && line.key) siblings.push(line.key);
    if (line.dashes.length > 0 && line.indent === indent) {
      // The dash that opens the item this line is in.
      inItem = true;
      climb(line.dashes);
      continue;
    }
    const opens = line.key !== undefined && (line.indent < indent || (line.indent === indent && path[0] === "-"));
    if (opens && line.key !== undefined) {
      path.unshift(line.key);
      indent = line.indent;
      inItem = true;
      climb(line.dashes);
    }
  }
  for (let below = row + 1; below < lines.length; below += 1) {
    const line = read(lines[below] ?? "");
    if (!line) continue;
    if (line.indent < keysIndent || line.dashes.length > 0) break;
    if (line.indent === keysIndent && line.key) siblings.push(line.key);
  }
  return { path, value, siblings };
}

export function suggestions(root: Schema, place: Place): Suggestion[] {
  let schemas = expand(root, root);
  for (const key of place.path) {
    schemas = schemas.flatMap((schema) => {
      const next = key === "-" ? schema.items : schema.properties?.[key]
        ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined);
      return next ? expand(root, next) : [];
    });
  }
  const found = new Map<string, Suggestion>();
  for (const schema of schemas) {
    if (place.value) {
      const item = schema.items ? expand(root, schema.items) : [];
      for (const one of [schema, ...item]) {
        const values = one.enum ?? ("const" in one ? [one.const] : one.type === "boolean" ? [true, false] : []);
        for (const value of values) {
          if (value !== null) found.set(String(value), { label: String(value), detail: one.description ?? "", apply: String(value) });
        }
      }
    } else {
      for (const [key, property] of Object.entries(schema.properties ?? {})) {
        if (place.siblings.includes(key)) continue;
        const kinds = expand(root, property);
        const nested = kinds.some((kind) => kind.properties && !kind.items);
        const detail = property.description ?? kinds.find((kind) => kind.description)?.description ?? "";
        found.set(key, { label: key, detail: detail.split("\n")[0] ?? "", apply: nested ? `${key}:` : `${key}: ` });
      }
    }
  }
  return [...found.values()];
}

/** The schema without references and alternatives: each of the shapes that it may have. */
function expand(root: Schema, schema: Schema, depth = 0): Schema[] {
  if (depth > 16) return [];
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    const target = root.$defs?.[name] ?? root.definitions?.[name];
    return target ? expand(root, target, depth + 1) : [];
  }
  const parts = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  return [schema, ...parts.flatMap((part) => expand(root, part, depth + 1))];
}
