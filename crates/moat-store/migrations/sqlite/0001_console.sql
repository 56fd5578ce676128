-- Times are microseconds since 1970-01-01 UTC; ids are UUIDs of version 7; documents are JSON.

-- Counters that must be read and raised in one step. Raising one locks it until the transaction ends, which is
-- what makes events, policy sets and audit entries stand in the order in which they were committed.
CREATE TABLE counter (
  name TEXT PRIMARY KEY,
  value BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('event', 0), ('policy_set', 0), ('audit', 0);

CREATE TABLE policy (
  name TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  document TEXT NOT NULL,
  mode TEXT NOT NULL,
  rules BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  updated_by TEXT NOT NULL,
  deleted BIGINT NOT NULL
);

CREATE TABLE policy_revision (
  name TEXT NOT NULL,
  revision BIGINT NOT NULL,
  kind TEXT NOT NULL,
  document TEXT NOT NULL,
  mode TEXT NOT NULL,
  rules BIGINT NOT NULL,
  action TEXT NOT NULL,
  note TEXT NOT NULL,
  updated_by TEXT NOT NULL,
  at BIGINT NOT NULL,
  policy_set BIGINT NOT NULL,
  PRIMARY KEY (name, revision)
);
CREATE INDEX policy_revision_by_set ON policy_revision (policy_set);

CREATE TABLE enforcer (
  id TEXT PRIMARY KEY,
  node TEXT NOT NULL,
  machine TEXT NOT NULL,
  version TEXT NOT NULL,
  kernel TEXT NOT NULL,
  driver TEXT NOT NULL,
  capabilities TEXT NOT NULL,
  enrolled_at BIGINT NOT NULL,
  last_seen_at BIGINT,
  connected_to TEXT,
  ended TEXT,
  ended_at BIGINT,
  certificate_serial TEXT NOT NULL,
  certificate_expires_at BIGINT NOT NULL,
  status TEXT NOT NULL,
  offered_set BIGINT NOT NULL,
  accepted_set BIGINT NOT NULL,
  enforced_set BIGINT NOT NULL,
  lag_ms BIGINT NOT NULL
);
CREATE INDEX enforcer_by_node ON enforcer (node);

CREATE TABLE certificate (
  serial TEXT PRIMARY KEY,
  enforcer_id TEXT NOT NULL,
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  reason TEXT
);
CREATE INDEX certificate_by_enforcer ON certificate (enforcer_id);

CREATE TABLE enrolment_token (
  id TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  secret_hash BLOB NOT NULL,
  uses_left BIGINT NOT NULL,
  uses_total BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT
);

CREATE TABLE policy_status (
  enforcer_id TEXT NOT NULL,
  policy TEXT NOT NULL,
  revision BIGINT NOT NULL,
  state TEXT NOT NULL,
  reasons TEXT NOT NULL,
  containers BIGINT NOT NULL,
  PRIMARY KEY (policy, enforcer_id)
);
CREATE INDEX policy_status_by_enforcer ON policy_status (enforcer_id);

-- The policies of the nodes' own folders.
CREATE TABLE node_policy (
  enforcer_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  file TEXT NOT NULL,
  document TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  state TEXT NOT NULL,
  reasons TEXT NOT NULL,
  containers BIGINT NOT NULL,
  PRIMARY KEY (enforcer_id, kind, name)
);
CREATE INDEX node_policy_by_name ON node_policy (kind, name);

CREATE TABLE container (
  enforcer_id TEXT NOT NULL,
  container_id TEXT NOT NULL,
  namespace TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  workload TEXT NOT NULL,
  policies TEXT NOT NULL,
  rules BIGINT NOT NULL,
  problem TEXT,
  protection TEXT NOT NULL,
  started_at BIGINT,
  seen_at BIGINT NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (enforcer_id, container_id)
);
CREATE INDEX container_by_workload ON container (namespace, kind, name);
CREATE INDEX container_by_end ON container (ended_at);

CREATE TABLE activity (
  namespace TEXT NOT NULL,
  workload_kind TEXT NOT NULL,
  workload_name TEXT NOT NULL,
  container TEXT NOT NULL,
  kind TEXT NOT NULL,
  digest BLOB NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  count BIGINT NOT NULL,
  PRIMARY KEY (namespace, workload_kind, workload_name, container, kind, digest)
);
CREATE INDEX activity_by_last_seen ON activity (last_seen);

-- seq is the order of arrival; a block is 512 consecutive events (seq >> 9).
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  at BIGINT NOT NULL,
  enforcer_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  action TEXT NOT NULL,
  severity BIGINT NOT NULL,
  namespace TEXT,
  pod TEXT,
  container TEXT,
  workload TEXT,
  policy TEXT,
  rule TEXT,
  node TEXT NOT NULL,
  words TEXT NOT NULL,
  document TEXT NOT NULL
);
CREATE UNIQUE INDEX event_by_id ON event (id, at);

CREATE TABLE event_block (
  block INTEGER PRIMARY KEY,
  min_at BIGINT NOT NULL,
  max_at BIGINT NOT NULL
);

-- Which blocks of a segment (64 blocks, block >> 6) hold which term (a hash of a field's value, or of the beginning of a word):
-- the bits of `blocks`. Entries are written only among the newest.
CREATE TABLE event_term (
  segment BIGINT NOT NULL,
  term BIGINT NOT NULL,
  blocks BIGINT NOT NULL,
  PRIMARY KEY (segment, term)
) WITHOUT ROWID;

CREATE TABLE event_stored (
  event_type TEXT PRIMARY KEY,
  events BIGINT NOT NULL
);

CREATE TABLE event_count (
  minute BIGINT NOT NULL,
  event_type TEXT NOT NULL,
  severity BIGINT NOT NULL,
  action TEXT NOT NULL,
  events BIGINT NOT NULL,
  happenings BIGINT NOT NULL,
  PRIMARY KEY (minute, event_type, severity, action)
) WITHOUT ROWID;

CREATE TABLE event_top (
  hour BIGINT NOT NULL,
  subject TEXT NOT NULL,
  name TEXT NOT NULL,
  events BIGINT NOT NULL,
  PRIMARY KEY (hour, subject, name)
) WITHOUT ROWID;

CREATE TABLE audit (
  seq BIGINT PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  role TEXT NOT NULL,
  source_address TEXT NOT NULL,
  action TEXT NOT NULL,
  resource TEXT NOT NULL,
  name TEXT NOT NULL,
  detail TEXT NOT NULL,
  previous_hash BLOB NOT NULL,
  hash BLOB NOT NULL
);

CREATE TABLE account (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  password_hash TEXT,
  oidc_issuer TEXT,
  oidc_subject TEXT,
  disabled BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  last_login_at BIGINT
);
CREATE UNIQUE INDEX account_by_oidc ON account (oidc_issuer, oidc_subject);

CREATE TABLE session (
  token_hash BLOB PRIMARY KEY,
  user_id TEXT NOT NULL,
  csrf TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL
);
CREATE INDEX session_by_user ON session (user_id);

CREATE TABLE api_token (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  token_hash BLOB NOT NULL UNIQUE,
  role TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  last_used_at BIGINT
);

CREATE TABLE setting (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  revision BIGINT NOT NULL
);

-- What is made once for all replicas and never shown: the authority's certificate and sealed key.
CREATE TABLE keepsake (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
);

CREATE TABLE notifier (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  config TEXT NOT NULL,
  filter TEXT NOT NULL,
  enabled BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  cursor BIGINT NOT NULL,
  lease_owner TEXT,
  lease_beat BIGINT NOT NULL,
  status TEXT NOT NULL
);

CREATE TABLE delivery (
  id TEXT PRIMARY KEY,
  notifier_id TEXT NOT NULL,
  event_ids TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  last_error TEXT,
  state TEXT NOT NULL,
  next_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX delivery_by_notifier ON delivery (notifier_id, state, next_at);
