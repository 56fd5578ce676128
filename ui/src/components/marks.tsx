// How bad, what was done, how well held: told by shape and word as well as by colour.
import { Badge, VisuallyHidden } from "@mantine/core";
import {
  IconAlertCircle, IconBan, IconBolt, IconCircleCheck, IconCircleDashed, IconEye, IconLock, IconPlugConnectedX,
  IconShieldCheck, IconShieldOff, IconUnlink,
} from "@tabler/icons-react";
import type { ReactNode } from "react";

export const SEVERITIES = ["Critical", "High", "Medium", "Low", "Info"] as const;
export type Severity = (typeof SEVERITIES)[number];

export function severityColor(severity: string): string {
  return `var(--moat-${severity.toLowerCase()})`;
}

/** Of an area, not of text. */
export function severityFill(severity: string): string {
  return `var(--moat-fill-${severity.toLowerCase()})`;
}

/** Four bars, as many filled as it is bad. */
export function SeverityMark({ severity, short }: { severity: string; short?: boolean }) {
  const rank = SEVERITIES.length - 1 - SEVERITIES.indexOf(severity as Severity);
  const color = severityColor(severity);
  return (
    <span title={short ? severity : undefined} style={{ display: "inline-flex", alignItems: "center", gap: 7, color, fontWeight: 550, whiteSpace: "nowrap" }}>
      <svg width="14" height="12" aria-hidden="true">
        {[0, 1, 2, 3].map((bar) => (
          <rect key={bar} x={bar * 3.6} y={9 - bar * 3} width="2.6" height={3 + bar * 3} rx="0.8"
            fill={color} opacity={bar < rank ? 1 : 0.22} />
        ))}
      </svg>
      {short ? <VisuallyHidden>{severity}</VisuallyHidden> : severity}
    </span>
  );
}

const ACTIONS: Record<string, [icon: ReactNode, words: string]> = {
  Alerted: [<IconEye size={14} />, "Alerted"],
  Blocked: [<IconBan size={14} />, "Blocked"],
  Killed: [<IconBolt size={14} />, "Killed"],
  PodKilled: [<IconBolt size={14} />, "Pod killed"],
  Quarantined: [<IconUnlink size={14} />, "Quarantined"],
  WouldAlert: [<IconEye size={14} />, "Would alert"],
  WouldBlock: [<IconBan size={14} />, "Would block"],
  WouldKill: [<IconBolt size={14} />, "Would kill"],
  WouldKillPod: [<IconBolt size={14} />, "Would kill pod"],
  WouldQuarantine: [<IconUnlink size={14} />, "Would quarantine"],
};

/** What Moat did: filled where it acted, outlined where it only watched. */
export function ActionMark({ action }: { action: string }) {
  const [icon, words] = ACTIONS[action] ?? [null, action];
  const acted = !action.startsWith("Would") && action !== "Alerted";
  return (
    <Badge leftSection={icon} variant={acted ? "light" : "outline"} color={acted ? "water" : "gray"} tt="none" fw={600}
      style={{ verticalAlign: "middle", color: acted ? undefined : "var(--mantine-color-dimmed)", borderStyle: action.startsWith("Would") ? "dashed" : undefined }}>
      {words}
    </Badge>
  );
}

type Tone = "good" | "medium" | "high" | "critical" | "info" | "accent";

export function Mark({ tone, icon, children }: { tone: Tone; icon?: ReactNode; children: ReactNode }) {
  return (
    <span style={{ display: "inline-flex", alignItems: "center", gap: 6, color: `var(--moat-${tone})`, fontWeight: 550,
      whiteSpace: "nowrap" }}>
      {icon}
      {children}
    </span>
  );
}

const STATES: Record<string, [tone: Tone, icon: ReactNode]> = {
  Protected: ["good", <IconShieldCheck size={15} />],
  Audit: ["medium", <IconEye size={15} />],
  Unprotected: ["info", <IconShieldOff size={15} />],
  Enforced: ["good", <IconCircleCheck size={15} />],
  Enforce: ["good", <IconLock size={15} />],
  Accepted: ["accent", <IconCircleCheck size={15} />],
  Pending: ["info", <IconCircleDashed size={15} />],
  Degraded: ["medium", <IconAlertCircle size={15} />],
  Refused: ["critical", <IconBan size={15} />],
  Connected: ["good", <IconCircleCheck size={15} />],
  Away: ["medium", <IconPlugConnectedX size={15} />],
  Revoked: ["critical", <IconBan size={15} />],
  Replaced: ["info", <IconCircleDashed size={15} />],
};

/** A state of a workload, a policy or an enforcer, as the API names it. */
export function StateMark({ state, children }: { state: string; children?: ReactNode }) {
  const [tone, icon] = STATES[state] ?? ["info", null];
  return <Mark tone={tone} icon={icon}>{children ?? state}</Mark>;
}
