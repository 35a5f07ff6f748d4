-- name: create
CREATE TABLE IF NOT EXISTS schema_migration (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: exists
SELECT to_regclass('schema_migration') IS NOT NULL

-- name: applied
SELECT version, name, checksum FROM schema_migration ORDER BY version

-- name: record
INSERT INTO schema_migration (version, name, checksum) VALUES ($1, $2, $3)

-- name: lock
SELECT pg_advisory_lock($1)
