-- +goose Up
-- What a pipeline's token may do, as words with a comma between. Those that were made
-- before could do what scans and gates need.
ALTER TABLE credentials ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
UPDATE credentials SET scopes = 'images' WHERE kind = 'ci';
