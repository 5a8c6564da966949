-- +goose Up
-- Types are those SQLite and PostgreSQL both know, but for BLOB (BYTEA there).
-- Times are Unix nanoseconds. Columns that filters look into are copies of what
-- the finding's JSON says, kept on the alert so that a list reads one table.

CREATE TABLE alerts (
  id TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL UNIQUE,
  status BIGINT NOT NULL,
  severity BIGINT NOT NULL,
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  count BIGINT NOT NULL,
  stored_at BIGINT NOT NULL,
  kernel_time BIGINT NOT NULL,
  assignee TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT '',
  latest_finding TEXT NOT NULL,
  affected_by_loss BIGINT NOT NULL,
  change_seq BIGINT NOT NULL,
  rule_id TEXT NOT NULL,
  title TEXT NOT NULL,
  summary TEXT NOT NULL,
  tactics TEXT NOT NULL,       -- JSON array of text
  techniques TEXT NOT NULL,    -- JSON array of text
  node TEXT NOT NULL,
  workload TEXT NOT NULL,
  process TEXT NOT NULL,
  executable TEXT NOT NULL,
  username TEXT NOT NULL,
  object TEXT NOT NULL,
  object_class TEXT NOT NULL,
  in_container BIGINT NOT NULL,
  container_id TEXT NOT NULL,
  container_name TEXT NOT NULL,
  image TEXT NOT NULL,
  digest TEXT NOT NULL,
  pod TEXT NOT NULL,
  namespace TEXT NOT NULL,
  runtime TEXT NOT NULL,
  container_unknown TEXT NOT NULL
);
CREATE INDEX alerts_last_seen ON alerts (last_seen, id);
CREATE INDEX alerts_severity ON alerts (severity, id);

-- One row per distinct finding: its id is the key, so a redelivery inserts nothing.
CREATE TABLE occurrences (
  finding_id TEXT PRIMARY KEY,
  alert_id TEXT NOT NULL,
  time BIGINT NOT NULL,
  stored_at BIGINT NOT NULL,
  summary TEXT NOT NULL,
  cmdline TEXT NOT NULL,
  finding BLOB                 -- JSON, whole; NULL once pruned
);
CREATE INDEX occurrences_alert ON occurrences (alert_id, time, finding_id);

CREATE TABLE alert_history (
  id BIGINT PRIMARY KEY,
  alert_id TEXT NOT NULL,
  time BIGINT NOT NULL,
  from_status BIGINT NOT NULL,
  to_status BIGINT NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL
);
CREATE INDEX alert_history_alert ON alert_history (alert_id, id);

CREATE TABLE changes (
  seq BIGINT PRIMARY KEY,
  kind TEXT NOT NULL,
  id TEXT NOT NULL
);

-- How far each sender's lane is stored: what lies at or below is a redelivery.
CREATE TABLE received (
  origin TEXT NOT NULL,
  lane BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (origin, lane)
);

CREATE TABLE nodes (
  name TEXT PRIMARY KEY,
  received_at BIGINT NOT NULL,
  status BLOB NOT NULL,        -- JSON of link.Status
  rules BLOB                   -- JSON of link.RuleSet
);

-- When was what watched: one row per unbroken stretch of one node.
CREATE TABLE watched (
  node TEXT NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT NOT NULL,       -- the last report that says so
  ended TEXT NOT NULL,         -- why it ended; '' = it goes on as far as is known
  PRIMARY KEY (node, since)
);

-- Losses added up by hour.
CREATE TABLE losses (
  hour BIGINT NOT NULL,        -- Unix hours
  node TEXT NOT NULL,
  hop TEXT NOT NULL,
  reason TEXT NOT NULL,
  lane TEXT NOT NULL,
  count BIGINT NOT NULL,
  from_time BIGINT NOT NULL,
  to_time BIGINT NOT NULL,
  PRIMARY KEY (hour, node, hop, reason, lane)
);

-- Sign-in codes, sessions and tokens: only hashes of them.
CREATE TABLE credentials (
  hash BLOB PRIMARY KEY,
  kind TEXT NOT NULL,
  label TEXT NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL      -- 0 = never
);

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
