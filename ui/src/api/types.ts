// Short names for what the API speaks of. The shapes are the generated schema's.
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Session = Schemas["Session"];
export type Failure = Schemas["Failure"];
export type Role = Schemas["Role"];
export type User = Schemas["User"];
export type ApiToken = Schemas["ApiToken"];
export type EnrolmentToken = Schemas["EnrolmentToken"];
export type Overview = Schemas["Overview"];
export type Statistics = Schemas["Statistics"];
export type Bucket = Schemas["Bucket"];
export type TopEntry = Schemas["TopEntry"];
export type Event = Schemas["Event"];
export type EventRecord = Schemas["EventRecord"];
export type EventDetail = Schemas["EventDetail"];
export type Policy = Schemas["Policy"];
export type PolicySummary = Schemas["PolicySummary"];
export type PolicyRevision = Schemas["PolicyRevision"];
export type PolicyStatus = Schemas["NodePolicyStatus"];
export type Coverage = Schemas["Coverage"];
export type Template = Schemas["Template"];
export type Workload = Schemas["WorkloadSummary"];
export type WorkloadDetail = Schemas["WorkloadDetail"];
export type Container = Schemas["Container"];
export type Activity = Schemas["Activity"];
export type EffectiveRule = Schemas["EffectiveRule"];
export type Enforcer = Schemas["Enforcer"];
export type AuditEntry = Schemas["AuditEntry"];
export type Notifier = Schemas["Notifier"];
export type NotifierTest = Schemas["NotifierTest"];
export type DeadLetter = Schemas["DeadLetter"];
export type NodePolicySummary = Schemas["NodePolicySummary"];
export type NodePolicyVersion = Schemas["NodePolicyVersion"];
export type NodePolicyPlace = Schemas["NodePolicyPlace"];
export type PolicySource = Schemas["PolicySource"];
