// Text that somebody else chose, made safe to show: the same rule as the agent's own outputs.
//
// React already keeps markup from being markup. What is left are characters that hide, break a line, or turn
// the direction of writing (Unicode Standard Annex 9 §2, Unicode Technical Report 36 §2.9).

const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => SHORT[character] ?? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** A command line as one could type it: words with anything unusual in them stand in quotes. */
export function commandLine(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .map(printable)
    .join(" ");
}
