-- +goose Up
-- How far each life of a sender is stored: what lies at or below is a redelivery. What an
-- older life left may come by way of a cluster agent after the newer one has begun.
CREATE TABLE received_of (
  origin TEXT NOT NULL,
  lane BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (origin, lane, epoch)
);
INSERT INTO received_of (origin, lane, epoch, seq, at) SELECT origin, lane, epoch, seq, at FROM received;
DROP TABLE received;
ALTER TABLE received_of RENAME TO received;
