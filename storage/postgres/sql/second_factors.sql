-- name: get
SELECT user_id, secret, created_at, confirmed_at, last_step, recovery FROM second_factor WHERE user_id = $1

-- name: offer
INSERT INTO second_factor AS f (user_id, secret, created_at) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE SET secret = EXCLUDED.secret, created_at = EXCLUDED.created_at
WHERE f.confirmed_at IS NULL
RETURNING user_id

-- name: confirm
UPDATE second_factor SET confirmed_at = $4, last_step = $2, recovery = $3
WHERE user_id = $1 AND confirmed_at IS NULL
RETURNING user_id

-- name: use_step
UPDATE second_factor SET last_step = $2
WHERE user_id = $1 AND confirmed_at IS NOT NULL AND last_step < $2
RETURNING user_id

-- name: use_recovery
UPDATE second_factor SET recovery = array_remove(recovery, $2)
WHERE user_id = $1 AND $2 = ANY(recovery)
RETURNING user_id

-- name: set_recovery
UPDATE second_factor SET recovery = $2 WHERE user_id = $1 AND confirmed_at IS NOT NULL RETURNING user_id

-- name: remove
DELETE FROM second_factor WHERE user_id = $1 RETURNING user_id
