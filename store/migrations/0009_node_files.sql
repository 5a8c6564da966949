-- +goose Up

-- What nodes say of their files themselves, as JSON of inventory.Kubelet.
CREATE TABLE node_files (
  cluster TEXT NOT NULL,
  node TEXT NOT NULL,
  at BIGINT NOT NULL,
  doc BLOB NOT NULL,
  PRIMARY KEY (cluster, node)
);
CREATE INDEX node_files_at ON node_files (at);
