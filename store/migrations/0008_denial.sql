-- +goose Up

-- What the API server answered to the canary that must be denied.
ALTER TABLE gov_canaries ADD COLUMN denied BIGINT NOT NULL DEFAULT 0;   -- last
ALTER TABLE gov_canaries ADD COLUMN denied_by TEXT NOT NULL DEFAULT ''; -- of the last one sent; '' = let through
ALTER TABLE gov_canaries ADD COLUMN answer TEXT NOT NULL DEFAULT '';
ALTER TABLE gov_canaries ADD COLUMN untold TEXT NOT NULL DEFAULT '';    -- why it cannot come back as a finding
