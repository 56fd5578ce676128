// How far a policy has come: on how many nodes, and how well held there.
import { Group, Text, Tooltip } from "@mantine/core";
import type { Coverage } from "../api/types";

export function CoverageBar({ coverage }: { coverage: Coverage }) {
  const parts = [
    ["enforced as written", coverage.enforced, "var(--moat-good)"],
    ["degraded", coverage.degraded, "var(--moat-medium)"],
    ["refused", coverage.refused, "var(--moat-critical)"],
    ["pending", coverage.pending, "var(--moat-info)"],
  ] as const;
  if (coverage.nodes === 0) return <Text size="sm" c="dimmed">no nodes</Text>;
  const held = coverage.enforced + coverage.degraded;
  const words = parts.filter(([, number]) => number > 0).map(([name, number]) => `${number} ${name}`).join(", ");
  return (
    <Tooltip label={words || "nothing reported yet"}>
      <div tabIndex={-1} aria-label={`On ${held} of ${coverage.nodes} nodes: ${words}`}>
        <Group gap={8} wrap="nowrap">
          <div className="bar" style={{ width: 64, flexShrink: 0 }} aria-hidden>
            {parts.map(([name, number, color]) => (
              <i key={name} style={{ width: `${(100 * number) / coverage.nodes}%`, background: color }} />
            ))}
          </div>
          <span className="number ellipsis">
            {held} / {coverage.nodes}
            {coverage.degraded > 0 && <span style={{ color: "var(--moat-medium)" }}> · {coverage.degraded} degraded</span>}
            {coverage.refused > 0 && <span style={{ color: "var(--moat-critical)" }}> · {coverage.refused} refused</span>}
          </span>
        </Group>
      </div>
    </Tooltip>
  );
}
