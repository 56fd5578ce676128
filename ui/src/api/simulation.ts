// What-if: temporary shapes until the schema has them.
import { api, body } from "./client";

export type Attempt =
  | { exec: { path: string; arguments?: string[] } }
  | { file: { path: string; operation: string; executable: string } }
  | { connect: { direction: string; protocol: string; address: string; port: number } }
  | { syscall: { name: string } }
  | { capability: { name: string } };
export interface Effect { policy: string; rule: string; action: string; severity: string; reason: string }
export interface Change {
  container: string; attempt: Attempt; count: number; last: string; event?: string | null;
  before?: Effect | null; after?: Effect | null;
}
export interface WorkloadChanges {
  namespace: string; kind: string; name: string; containers: number;
  newlyDenied: Change[]; newlyAllowed: Change[]; otherwiseDecided: Change[];
  unchanged: number; undecided: number; unresolvedUsers: string[];
}
export interface Simulation { workloads: WorkloadChanges[]; acts: number; leftOut: number }

export function simulate(name: string | null, document: string, hours: number): Promise<Simulation> {
  const post = api.POST as unknown as (path: string, init: unknown) => Promise<{ data?: Simulation }>;
  return body(name === null ? post("/policies/simulate", { body: { document, hours } })
    : post("/policies/{name}/simulate", { params: { path: { name } }, body: { document, hours } }));
}
