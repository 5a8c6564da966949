-- +goose Up
-- Where an alert's owner is from: '' = the finding says it itself, 'cluster' = nobody is
-- named for the workload, so whoever governance holds to answer for the cluster.
ALTER TABLE alerts ADD COLUMN owner_from TEXT NOT NULL DEFAULT '';
