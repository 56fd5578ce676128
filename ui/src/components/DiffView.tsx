// What changed between two texts, as `diff -u` writes it.
import { Text } from "@mantine/core";
import { printable } from "../logic/printable";

const TONES: Record<string, [color: string, background: string]> = {
  "+": ["var(--moat-good)", "color-mix(in srgb, var(--moat-good) 10%, transparent)"],
  "-": ["var(--moat-critical)", "color-mix(in srgb, var(--moat-critical) 10%, transparent)"],
  "@": ["var(--moat-accent)", "transparent"],
};

export function DiffView({ unified }: { unified: string }) {
  if (unified.trim() === "") return <Text size="sm" c="dimmed">Both are the same.</Text>;
  const lines = unified.replace(/\n$/, "").split("\n").filter((line) => !line.startsWith("--- ") && !line.startsWith("+++ "));
  return (
    <pre className="mono" tabIndex={0} aria-label="Difference" style={{ margin: 0, overflow: "auto", maxHeight: 460, lineHeight: 1.6 }}>
      {lines.map((line, index) => {
        const [color, background] = TONES[line[0] ?? ""] ?? ["inherit", "transparent"];
        return <div key={index} style={{ color, background, padding: "0 10px", minHeight: "1.6em" }}>{printable(line)}</div>;
      })}
    </pre>
  );
}
