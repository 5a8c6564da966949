-- +goose Up
-- Clusters: what they hold, what was done through their API servers, and what is
-- usual there. Lists are JSON arrays of text.

CREATE TABLE clusters (
  n BIGINT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  uid TEXT NOT NULL,
  version TEXT NOT NULL,
  platform TEXT NOT NULL,
  agent TEXT NOT NULL,
  audited BIGINT NOT NULL,        -- 1 = the API server is watched
  received_at BIGINT NOT NULL,    -- last word of its agent
  time BIGINT NOT NULL,           -- of the newest delta taken; not after the hub's clock then
  generation BIGINT NOT NULL,     -- of the newest statement begun, as its agent numbers it
  statement BIGINT NOT NULL,      -- the same as we number it: rises by one
  open BIGINT NOT NULL,           -- 1 = that statement has not ended yet
  stated_at BIGINT NOT NULL,      -- when a statement last ended; 0 = never
  stale BIGINT NOT NULL,          -- messages that were older than what was stored, in a row
  habits_time BIGINT NOT NULL,
  habits_since BIGINT NOT NULL,   -- the sums go back to here; 0 = none were told
  habits_dropped BIGINT NOT NULL,
  change_seq BIGINT NOT NULL,
  doc BLOB NOT NULL               -- JSON of inventory.ClusterDoc
);

-- Documents of inventory, whole, with copies of what filters look into.
CREATE TABLE inventory (
  n BIGINT PRIMARY KEY,
  cluster TEXT NOT NULL,
  kind TEXT NOT NULL,             -- node, namespace, workload, identity, exposure
  key TEXT NOT NULL,
  statement BIGINT NOT NULL,      -- that last named it
  at BIGINT NOT NULL,             -- time of the delta
  change_seq BIGINT NOT NULL,
  namespace TEXT NOT NULL,
  type TEXT NOT NULL,             -- Deployment, ServiceAccount, Ingress…
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  tenant TEXT NOT NULL,
  platform BIGINT NOT NULL,
  created BIGINT NOT NULL,
  pods BIGINT NOT NULL,
  identity TEXT NOT NULL,
  reach TEXT NOT NULL,
  reach_rank BIGINT NOT NULL,     -- the larger, the further
  scope TEXT NOT NULL,
  danger BIGINT NOT NULL,         -- orders by what it may do: powers, grants, mounts, risks
  powers TEXT NOT NULL,
  grants TEXT NOT NULL,
  mounts TEXT NOT NULL,
  apps TEXT NOT NULL,
  risks TEXT NOT NULL,
  images TEXT NOT NULL,
  nodes TEXT NOT NULL,
  workloads TEXT NOT NULL,
  tenants TEXT NOT NULL,          -- other tenants it shares nodes with or has rights in
  addresses TEXT NOT NULL,        -- addresses, hosts and ports
  doc BLOB NOT NULL,              -- JSON of the document
  UNIQUE (cluster, kind, key)
);
CREATE INDEX inventory_kind ON inventory (kind, cluster);

-- Images of workloads by every digest they may be known by.
CREATE TABLE workload_images (
  cluster TEXT NOT NULL,
  workload TEXT NOT NULL,
  ref TEXT NOT NULL,
  PRIMARY KEY (cluster, workload, ref)
);
CREATE INDEX workload_images_ref ON workload_images (ref);

-- What identities have done, added up by the cluster's agent.
CREATE TABLE habits (
  cluster TEXT NOT NULL,
  identity TEXT NOT NULL,
  verb TEXT NOT NULL,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  count BIGINT NOT NULL,
  denied BIGINT NOT NULL,
  first BIGINT NOT NULL,
  last BIGINT NOT NULL,
  sources TEXT NOT NULL,
  agents TEXT NOT NULL,
  unusual TEXT NOT NULL,
  PRIMARY KEY (cluster, identity, verb, resource, namespace)
);
CREATE INDEX habits_last ON habits (last);

-- Events of audit logs, the newest.
CREATE TABLE audit (
  id TEXT PRIMARY KEY,
  cluster TEXT NOT NULL,
  time BIGINT NOT NULL,
  verb TEXT NOT NULL,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  username TEXT NOT NULL,
  identity TEXT NOT NULL,
  impersonator TEXT NOT NULL,
  sources TEXT NOT NULL,
  agent TEXT NOT NULL,
  code BIGINT NOT NULL,
  decision TEXT NOT NULL,
  reason TEXT NOT NULL,
  unusual TEXT NOT NULL,
  origin TEXT NOT NULL,           -- pod, node, internet…
  origin_name TEXT NOT NULL,
  workload TEXT NOT NULL,         -- that the object is or belongs to
  stage TEXT NOT NULL,
  level TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  doc BLOB NOT NULL               -- zstd of JSON of the audit event, facts included
);
CREATE INDEX audit_time ON audit (time, id, bytes);
CREATE INDEX audit_cluster ON audit (cluster, time, id);
CREATE INDEX audit_identity ON audit (identity, time);

-- Which alerts rest on which event of a cluster.
CREATE TABLE event_alerts (
  event TEXT NOT NULL,
  alert TEXT NOT NULL,
  time BIGINT NOT NULL,
  PRIMARY KEY (event, alert)
);
CREATE INDEX event_alerts_time ON event_alerts (time);
CREATE INDEX event_alerts_alert ON event_alerts (alert);

ALTER TABLE alerts ADD COLUMN cluster TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN identity TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN agent TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN reaches TEXT NOT NULL DEFAULT '[]';
CREATE INDEX alerts_workload ON alerts (workload, cluster, status);
CREATE INDEX alerts_identity ON alerts (identity, cluster, status);
CREATE INDEX alerts_cluster ON alerts (cluster, status, severity);

-- 0 = one container, told by its node; else so many of a workload, told by its cluster.
ALTER TABLE running ADD COLUMN copies BIGINT NOT NULL DEFAULT 0;
ALTER TABLE running ADD COLUMN cluster TEXT NOT NULL DEFAULT '';
