-- +goose Up
-- Images and what is known of them. A package of the same name, version and
-- distribution is one row however many images hold it, and vulnerabilities belong to
-- that row: an advisory that changes touches a few packages, not every image.
-- Numbers named epss, percentile, cvss and rank_* are millionths.

CREATE TABLE images (
  n BIGINT PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  names TEXT NOT NULL,            -- JSON array of text, newest first
  source TEXT NOT NULL,
  platform TEXT NOT NULL,
  distro TEXT NOT NULL,           -- as it calls itself
  distro_id TEXT NOT NULL,        -- id:version
  digest TEXT NOT NULL,
  config_digest TEXT NOT NULL,
  created BIGINT NOT NULL,
  size BIGINT NOT NULL,
  base TEXT NOT NULL,
  owner TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,      -- scanned, or running
  scanned_at BIGINT NOT NULL,     -- 0 = never
  matched_at BIGINT NOT NULL,
  matched_with TEXT NOT NULL,     -- version of the advisories
  not_assessed TEXT NOT NULL,     -- why there is no verdict; '' = there is one
  gaps BIGINT NOT NULL,           -- parts not assessed
  match_gaps TEXT NOT NULL,       -- JSON array of scan.Gap: what the advisories lack
  critical BIGINT NOT NULL,
  high BIGINT NOT NULL,
  medium BIGINT NOT NULL,
  low BIGINT NOT NULL,
  unrated BIGINT NOT NULL,
  total BIGINT NOT NULL,
  kev BIGINT NOT NULL,
  fixable BIGINT NOT NULL,
  in_use BIGINT NOT NULL,
  packages BIGINT NOT NULL,
  secrets BIGINT NOT NULL,
  missteps BIGINT NOT NULL,
  malware BIGINT NOT NULL,
  running BIGINT NOT NULL,        -- containers
  watched BIGINT NOT NULL,        -- loads watched since; 0 = never
  gate BIGINT NOT NULL,           -- 0 none, 1 failed, 2 passed
  tries BIGINT NOT NULL,          -- failed scans since the last good one
  retry_at BIGINT NOT NULL,
  folded BIGINT NOT NULL,         -- the last run of advisories that is in the counts
  change_seq BIGINT NOT NULL
);
CREATE INDEX images_last_seen ON images (last_seen);

-- The whole catalogue, compressed, apart: lists never read it.
CREATE TABLE image_catalogs (
  image BIGINT PRIMARY KEY,
  catalog BLOB NOT NULL           -- zstd of JSON of scan.Catalog
);

-- The layers of images, so that one built on another finds its base.
CREATE TABLE image_chains (
  image BIGINT PRIMARY KEY,
  chain TEXT NOT NULL,            -- hash of all its diffIDs in order
  name TEXT NOT NULL,
  repository TEXT NOT NULL,
  diff_ids TEXT NOT NULL          -- JSON array of text
);
CREATE INDEX image_chains_chain ON image_chains (chain);
CREATE INDEX image_chains_repository ON image_chains (repository);

-- Every digest an image is known by: manifest, index, configuration.
CREATE TABLE image_keys (
  key TEXT NOT NULL,
  image BIGINT NOT NULL,
  PRIMARY KEY (key, image)
);
CREATE INDEX image_keys_image ON image_keys (image);

CREATE TABLE packages (
  n BIGINT PRIMARY KEY,
  ident BLOB NOT NULL UNIQUE,     -- hash of the rest
  distro TEXT NOT NULL,           -- JSON of scan.Distro; '' where it does not matter
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  arch TEXT NOT NULL,
  source TEXT NOT NULL,
  source_version TEXT NOT NULL,
  module TEXT NOT NULL,
  vendor TEXT NOT NULL,
  owned_by TEXT NOT NULL,
  dev TEXT NOT NULL,              -- 'dev' = only a lock file speaks of it
  matched BIGINT NOT NULL         -- 1 = with some version of the advisories; later ones follow by what they change
);
CREATE INDEX packages_name ON packages (name);
CREATE INDEX packages_matched ON packages (matched);

-- What the advisories call a package: how a changed advisory finds it.
CREATE TABLE package_keys (
  ecosystem TEXT NOT NULL,
  name TEXT NOT NULL,
  package BIGINT NOT NULL,
  PRIMARY KEY (ecosystem, name, package)
);
CREATE INDEX package_keys_package ON package_keys (package);

-- counted = 0 for a package whose name and version the image holds already, as
-- another architecture's: it is not counted twice.
CREATE TABLE image_packages (
  image BIGINT NOT NULL,
  package BIGINT NOT NULL,
  counted BIGINT NOT NULL,
  visible BIGINT NOT NULL,        -- 0: no file of it is known whose load could be seen
  PRIMARY KEY (image, package)
);
CREATE INDEX image_packages_package ON image_packages (package, image);

CREATE TABLE vulns (
  n BIGINT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  aliases TEXT NOT NULL,          -- JSON array of text
  title TEXT NOT NULL,
  refs TEXT NOT NULL,             -- JSON array of text
  published BIGINT NOT NULL,
  modified BIGINT NOT NULL,
  epss BIGINT NOT NULL,           -- -1 = not scored
  percentile BIGINT NOT NULL,
  epss_date TEXT NOT NULL,
  kev BIGINT NOT NULL,
  kev_entry TEXT NOT NULL,        -- JSON of scan.KEV; '' = not listed
  severity BIGINT NOT NULL,       -- from here on: the worst or most urgent of its packages
  cvss BIGINT NOT NULL,
  vector TEXT NOT NULL,
  fixable BIGINT NOT NULL,        -- for every package affected
  status BIGINT NOT NULL,
  rank_max BIGINT NOT NULL,
  first_detected BIGINT NOT NULL,
  images BIGINT NOT NULL,
  running_images BIGINT NOT NULL,
  used_images BIGINT NOT NULL,
  change_seq BIGINT NOT NULL
);
CREATE INDEX vulns_rank ON vulns (rank_max, n);

CREATE TABLE vuln_ids (
  id TEXT NOT NULL,               -- upper case: its own and every alias
  vuln BIGINT NOT NULL,
  PRIMARY KEY (id, vuln)
);

CREATE TABLE package_vulns (
  package BIGINT NOT NULL,
  vuln BIGINT NOT NULL,
  status BIGINT NOT NULL,
  fixed_in TEXT NOT NULL,
  severity BIGINT NOT NULL,
  severity_from TEXT NOT NULL,
  cvss BIGINT NOT NULL,
  vector TEXT NOT NULL,
  source TEXT NOT NULL,
  rank_base BIGINT NOT NULL,      -- without what is in use
  detected BIGINT NOT NULL,
  PRIMARY KEY (package, vuln)
);
CREATE INDEX package_vulns_vuln ON package_vulns (vuln, package);

-- What advisories changed and images do not count yet. Rows stay until every image
-- that holds the package has been brought up to date: a crash between forgets nothing.
CREATE TABLE advisory_changes (
  run BIGINT NOT NULL,
  package BIGINT NOT NULL,
  vuln BIGINT NOT NULL,
  appeared BIGINT NOT NULL,       -- 1 appeared, -1 gone, 0 rated anew
  severity_before BIGINT NOT NULL,
  severity_after BIGINT NOT NULL,
  fixable_before BIGINT NOT NULL,
  fixable_after BIGINT NOT NULL,
  kev_before BIGINT NOT NULL,
  kev_after BIGINT NOT NULL,
  cause TEXT NOT NULL,
  time BIGINT NOT NULL,
  PRIMARY KEY (run, package, vuln)
);

-- What is new and may deserve an alert, until somebody has looked at it.
CREATE TABLE news (
  image BIGINT NOT NULL,
  vuln BIGINT NOT NULL,
  time BIGINT NOT NULL,
  PRIMARY KEY (image, vuln)
);

CREATE TABLE image_history (
  image BIGINT NOT NULL,
  id BIGINT NOT NULL,
  time BIGINT NOT NULL,
  cause TEXT NOT NULL,
  counts TEXT NOT NULL,           -- JSON of scan.Counts
  appeared TEXT NOT NULL,         -- JSON array of ids, the first 50
  gone TEXT NOT NULL,
  appeared_total BIGINT NOT NULL,
  gone_total BIGINT NOT NULL,
  PRIMARY KEY (image, id)
);

-- Containers, running or gone.
CREATE TABLE running (
  node TEXT NOT NULL,
  container TEXT NOT NULL,
  name TEXT NOT NULL,
  workload TEXT NOT NULL,
  ref TEXT NOT NULL,              -- digest, image id, or container:ID where neither is known
  image BIGINT NOT NULL,          -- 0 = not joined yet
  image_name TEXT NOT NULL,
  image_id TEXT NOT NULL,
  runtime TEXT NOT NULL,
  rootfs TEXT NOT NULL,
  pid BIGINT NOT NULL,
  unknown TEXT NOT NULL,
  not_watched TEXT NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT NOT NULL,          -- the last report
  ended BIGINT NOT NULL,          -- 0 = runs as far as is known; else when it ended
  dirty BIGINT NOT NULL,
  PRIMARY KEY (node, container)
);
CREATE INDEX running_image ON running (image, ended);
CREATE INDEX running_workload ON running (workload, ended);
CREATE INDEX running_ref ON running (ref);
CREATE INDEX running_dirty ON running (dirty);

-- Files loaded, by image as running calls it, and when that was watched.
CREATE TABLE loads (
  ref TEXT NOT NULL,
  path TEXT NOT NULL,
  first BIGINT NOT NULL,
  last BIGINT NOT NULL,
  dirty BIGINT NOT NULL,
  PRIMARY KEY (ref, path)
);
CREATE INDEX loads_dirty ON loads (dirty, ref);
CREATE TABLE load_watches (
  ref TEXT NOT NULL,
  node TEXT NOT NULL,
  container TEXT NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT NOT NULL,
  started BIGINT NOT NULL,        -- of the container; 0 unknown
  PRIMARY KEY (ref, node, container, since)
);

CREATE TABLE image_use (
  image BIGINT NOT NULL,
  package BIGINT NOT NULL,
  first BIGINT NOT NULL,
  last BIGINT NOT NULL,
  path TEXT NOT NULL,
  PRIMARY KEY (image, package)
);
CREATE INDEX image_use_package ON image_use (package, image);

CREATE TABLE workloads (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  check_at BIGINT NOT NULL        -- when its clocks are to be looked at; 0 = when something changes
);
CREATE INDEX workloads_check ON workloads (check_at);

-- One remediation clock per (workload, vulnerability) and time that it was there.
CREATE TABLE clocks (
  workload TEXT NOT NULL,
  vuln BIGINT NOT NULL,
  started BIGINT NOT NULL,
  severity BIGINT NOT NULL,
  kev BIGINT NOT NULL,
  absent BIGINT NOT NULL,         -- since when no running instance has it; 0 = one has
  stopped BIGINT NOT NULL,        -- 0 = open
  outcome BIGINT NOT NULL,        -- 0 open, 1 fixed, 2 gone with its workload
  PRIMARY KEY (workload, vuln, started)
);
CREATE INDEX clocks_open ON clocks (stopped, workload);

CREATE TABLE gate_runs (
  id BIGINT PRIMARY KEY,
  key TEXT NOT NULL,
  time BIGINT NOT NULL,
  passed BIGINT NOT NULL,
  commit_id TEXT NOT NULL,
  pipeline TEXT NOT NULL,
  policy TEXT NOT NULL,
  reasons TEXT NOT NULL,          -- JSON array of text
  url TEXT NOT NULL,
  who TEXT NOT NULL
);
CREATE INDEX gate_runs_key ON gate_runs (key, time);

CREATE TABLE registries (
  name TEXT PRIMARY KEY,
  walked_at BIGINT NOT NULL,
  error TEXT NOT NULL,
  state BLOB NOT NULL             -- as the walker keeps it
);
