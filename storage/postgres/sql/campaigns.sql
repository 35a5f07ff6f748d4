-- name: lock
-- Whoever adds counts first. The number is only ours.
SELECT pg_advisory_xact_lock(6007)

-- name: unfinished
SELECT count(*) FROM campaign WHERE ends_at > $1

-- name: add
INSERT INTO campaign (campaign_id, name, starts_at, ends_at, country, share, budget, version, updated_at, updated_by,
                      created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: campaign
SELECT campaign_id, name, starts_at, ends_at, country, share, budget, spent, version, created_at, updated_at, updated_by
FROM campaign
WHERE campaign_id = $1

-- name: campaigns
SELECT campaign_id, name, starts_at, ends_at, country, share, budget, spent, version, created_at, updated_at, updated_by
FROM campaign
WHERE $1::uuid IS NULL OR campaign_id < $1
ORDER BY campaign_id DESC
LIMIT $2

-- name: lock_one
SELECT version, spent FROM campaign WHERE campaign_id = $1 FOR UPDATE

-- name: change
UPDATE campaign
SET name = $2, starts_at = $3, ends_at = $4, country = $5, share = $6, budget = $7, version = $8, updated_at = $9,
    updated_by = $10
WHERE campaign_id = $1
