// What-if: decide again what workloads did.
import { api, body } from "./client";
import type { components } from "./schema";

export type Simulation = components["schemas"]["WhatIfAnswer"];
export type WorkloadChanges = components["schemas"]["WorkloadChanges"];
export type Change = components["schemas"]["Change"];
export type Attempt = components["schemas"]["Attempt"];

/** `name` is that of the policy which the document takes the place of; null for a new one. */
export function simulate(name: string | null, document: string, hours: number): Promise<Simulation> {
  return name === null ? body(api.POST("/policies/simulate", { body: { document, hours } }))
    : body(api.POST("/policies/{name}/simulate", { params: { path: { name } }, body: { document, hours } }));
}
