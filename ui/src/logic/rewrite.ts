// A changed YAML document as text, in which every line that did not change stays as it was written.
import type { Document } from "yaml";

export function write(document: Document): string {
  return document.toString({ lineWidth: 0, flowCollectionPadding: true, indentSeq: false });
}

/** `text` is what `before` was read from. Where writing it out unchanged would give other lines, `after` is written whole. */
export function rewrite(text: string, before: Document, after: Document): string {
  const original = text.split("\n");
  const old = write(before).split("\n");
  const next = write(after).split("\n");
  if (old.length !== original.length) return next.join("\n");
  let head = 0;
  while (head < old.length && head < next.length && old[head] === next[head]) head += 1;
  let tail = 0;
  while (tail < old.length - head && tail < next.length - head && old.at(-1 - tail) === next.at(-1 - tail)) tail += 1;
  return [...original.slice(0, head), ...next.slice(head, next.length - tail), ...original.slice(original.length - tail)].join("\n");
}
