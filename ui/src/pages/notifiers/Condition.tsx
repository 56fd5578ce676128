// How a notifier fares, in a mark.
import { IconAlertCircle, IconBan, IconCircleCheck, IconCircleDashed, IconPlayerPause } from "@tabler/icons-react";
import type { Notifier } from "../../api/types";
import { Mark } from "../../components/marks";

export function Condition({ notifier: { enabled, status } }: { notifier: Notifier }) {
  if (!enabled) return <Mark tone="info" icon={<IconPlayerPause size={15} />}>Paused</Mark>;
  switch (status.condition) {
    case "Working": return <Mark tone="good" icon={<IconCircleCheck size={15} />}>Working</Mark>;
    case "Failing": return <Mark tone="high" icon={<IconAlertCircle size={15} />}>Failing</Mark>;
    case "Misconfigured": return <Mark tone="critical" icon={<IconBan size={15} />}>Misconfigured</Mark>;
    default: return <Mark tone="info" icon={<IconCircleDashed size={15} />}>Starting</Mark>;
  }
}
