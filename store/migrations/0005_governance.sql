-- +goose Up
-- What the last evaluation of the tenant says, what is kept of earlier ones, and what it
-- rests on that nothing else keeps. Columns beside a document are copies that filters and
-- orders look into; NULL means not assessed, and no filter finds it. Amounts, scores and
-- risks are millionths.

-- Whole documents: the evaluation without its lists, the cost report, controls, scores,
-- costs by cluster, the snapshot that was taken in.
CREATE TABLE gov_docs (
  name TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  change_seq BIGINT NOT NULL,
  hash BLOB NOT NULL,
  doc BLOB NOT NULL              -- zstd of JSON
);

CREATE TABLE gov_clusters (
  n BIGINT PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,
  change_seq BIGINT NOT NULL,
  doc BLOB NOT NULL,             -- JSON of govern.ClusterRow
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  here TEXT NOT NULL,            -- its name in Dockreeve; '' = not onboarded
  subscription TEXT NOT NULL,
  resource_group TEXT NOT NULL,
  location TEXT NOT NULL,
  version TEXT NOT NULL,
  owner TEXT NOT NULL,
  business_unit TEXT NOT NULL,
  cost_centre TEXT NOT NULL,
  environment TEXT NOT NULL,
  production BIGINT NOT NULL,
  stopped BIGINT NOT NULL,
  protected BIGINT NOT NULL,     -- 1 yes, 2 no, 3 unknown; likewise the next four
  plan BIGINT NOT NULL,
  profile BIGINT NOT NULL,
  policy BIGINT NOT NULL,
  agents BIGINT NOT NULL,
  audited BIGINT NOT NULL,
  inside TEXT NOT NULL,
  images TEXT NOT NULL,
  runtime TEXT NOT NULL,
  enforcement TEXT NOT NULL,
  score BIGINT,
  score_change BIGINT,
  critical BIGINT,
  exploited BIGINT NOT NULL,
  alerts BIGINT,
  cost BIGINT,
  budget BIGINT,
  forecast BIGINT,
  security BIGINT,
  anomaly BIGINT NOT NULL,
  risk BIGINT NOT NULL,
  risk_money BIGINT NOT NULL,
  canary BIGINT,                 -- age, nanoseconds
  uncovered BIGINT,              -- since
  first_seen BIGINT,
  gaps TEXT NOT NULL             -- JSON array of text
);
CREATE INDEX gov_clusters_risk ON gov_clusters (risk_money, n);
CREATE INDEX gov_clusters_here ON gov_clusters (here);

-- JSON of cost.ClusterCost, by cluster.
CREATE TABLE gov_costs (
  n BIGINT PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,
  change_seq BIGINT NOT NULL,
  doc BLOB NOT NULL
);

CREATE TABLE gov_subscriptions (
  n BIGINT PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,
  change_seq BIGINT NOT NULL,
  doc BLOB NOT NULL,             -- JSON of govern.SubscriptionRow
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  relevant BIGINT NOT NULL,
  plan BIGINT NOT NULL,
  clusters BIGINT NOT NULL,
  registries BIGINT NOT NULL,
  missing TEXT NOT NULL,         -- JSON array: extensions that are off
  path TEXT NOT NULL,            -- JSON array: management groups
  gaps TEXT NOT NULL
);

CREATE TABLE gov_results (
  n BIGINT PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,
  change_seq BIGINT NOT NULL,
  doc BLOB NOT NULL,             -- JSON of posture.Result
  control TEXT NOT NULL,
  cluster TEXT NOT NULL,
  resource TEXT NOT NULL,
  verdict TEXT NOT NULL,
  severity BIGINT NOT NULL,
  owner TEXT NOT NULL,
  failing BIGINT NOT NULL
);
CREATE INDEX gov_results_cluster ON gov_results (cluster, control);
CREATE INDEX gov_results_control ON gov_results (control, verdict);
CREATE INDEX gov_results_severity ON gov_results (severity, n);

-- Which requirements of which frameworks a control answers.
CREATE TABLE gov_maps (
  framework TEXT NOT NULL,
  requirement TEXT NOT NULL,
  control TEXT NOT NULL,
  PRIMARY KEY (framework, requirement, control)
);
CREATE INDEX gov_maps_requirement ON gov_maps (requirement);

CREATE TABLE gov_recommendations (
  n BIGINT PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,
  change_seq BIGINT NOT NULL,
  doc BLOB NOT NULL,             -- JSON of govern.Recommendation
  id TEXT NOT NULL,
  title TEXT NOT NULL,
  severity BIGINT NOT NULL,
  owner TEXT NOT NULL,
  sources TEXT NOT NULL,         -- JSON array of text
  overdue BIGINT NOT NULL,
  fixed BIGINT NOT NULL,
  disagree BIGINT NOT NULL,
  rank BIGINT NOT NULL,
  count BIGINT NOT NULL,
  workloads BIGINT NOT NULL,
  effort BIGINT NOT NULL,
  due BIGINT,
  first_seen BIGINT
);
CREATE INDEX gov_recommendations_rank ON gov_recommendations (rank, n);

CREATE TABLE gov_findings (
  n BIGINT PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,
  change_seq BIGINT NOT NULL,
  doc BLOB NOT NULL,             -- JSON of govern.Finding
  rule TEXT NOT NULL,
  severity BIGINT NOT NULL,
  owner TEXT NOT NULL,
  kind TEXT NOT NULL,            -- of its subject
  subject TEXT NOT NULL,
  summary TEXT NOT NULL,
  at BIGINT NOT NULL
);

-- What was made alerts of, so that only what is new or different is raised again, and
-- that what is gone can be told. told: 0 = stands, else when it was found to be gone.
CREATE TABLE gov_raised (
  key TEXT PRIMARY KEY,
  hash BLOB NOT NULL,
  alert TEXT NOT NULL,
  at BIGINT NOT NULL,
  gone BIGINT NOT NULL
);

-- What is kept of evaluations for trends: one a day, the latest.
CREATE TABLE gov_days (
  day TEXT PRIMARY KEY,          -- YYYY-MM-DD, UTC
  at BIGINT NOT NULL,
  numbers BLOB NOT NULL,         -- zstd of JSON of govern.Day without what is by cluster, finding and recommendation
  doc BLOB NOT NULL              -- zstd of JSON of govern.Day
);

CREATE TABLE gov_reviews (
  id TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  doc TEXT NOT NULL              -- JSON of govern.Review
);

-- Charges of one day, in parts. A part of a delivery that is not complete is not in force.
CREATE TABLE gov_charges (
  n BIGINT PRIMARY KEY,
  origin TEXT NOT NULL,          -- bill, query
  day TEXT NOT NULL,             -- YYYY-MM-DD, UTC, of the charge's beginning
  delivery BIGINT NOT NULL,
  valid BIGINT NOT NULL,
  charges BIGINT NOT NULL,       -- how many it holds
  doc BLOB NOT NULL              -- a packed cost.Block; of versions before zstd of gob of []cost.Charge
);
CREATE INDEX gov_charges_day ON gov_charges (origin, day, valid);
CREATE INDEX gov_charges_delivery ON gov_charges (delivery);

CREATE TABLE gov_usage (
  cluster TEXT NOT NULL,
  hour BIGINT NOT NULL,          -- Unix nanoseconds
  namespace TEXT NOT NULL,       -- '' = the cluster
  boot BIGINT NOT NULL,          -- of the agent: parts of an hour told by two starts add up
  doc TEXT NOT NULL,             -- JSON of inventory.Usage
  PRIMARY KEY (cluster, hour, namespace, boot)
);
CREATE INDEX gov_usage_hour ON gov_usage (hour);

CREATE TABLE gov_canaries (
  cluster TEXT NOT NULL,
  node TEXT NOT NULL,
  kind TEXT NOT NULL,
  sent BIGINT NOT NULL,
  seen BIGINT NOT NULL,
  every BIGINT NOT NULL,
  not_assessed TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (cluster, node, kind)
);
