-- name: remove_expired
DELETE FROM login_session WHERE user_id = $1 AND expires_at <= $2

-- name: add
WITH started AS (
    INSERT INTO login_session
        (user_id, session_id, token_hash, device, address, created_at, last_used_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
)
INSERT INTO login_token (user_id, session_id, token_hash) VALUES ($1, $2, $3)

-- name: whose
SELECT user_id, session_id FROM login_token WHERE token_hash = $1

-- name: lock
-- Concurrent rotations of one session queue here; each then sees what the one before did.
SELECT user_id, session_id, token_hash, device, address, created_at, last_used_at, expires_at
FROM login_session
WHERE user_id = $1 AND session_id = $2 AND expires_at > $3
FOR UPDATE

-- name: replaced_at
SELECT replaced_at FROM login_token WHERE user_id = $1 AND session_id = $2 AND token_hash = $3

-- name: rotate
WITH former AS (
    UPDATE login_token SET replaced_at = $5
    WHERE user_id = $1 AND session_id = $2 AND token_hash = $3
), newer AS (
    INSERT INTO login_token (user_id, session_id, token_hash) VALUES ($1, $2, $4)
)
UPDATE login_session SET token_hash = $4, last_used_at = $5, expires_at = $6
WHERE user_id = $1 AND session_id = $2
RETURNING user_id, session_id, token_hash, device, address, created_at, last_used_at, expires_at

-- name: end
DELETE FROM login_session WHERE user_id = $1 AND session_id = $2 RETURNING session_id

-- name: end_all
DELETE FROM login_session WHERE user_id = $1 RETURNING session_id

-- name: of_user
SELECT user_id, session_id, token_hash, device, address, created_at, last_used_at, expires_at
FROM login_session
WHERE user_id = $1 AND expires_at > $2
ORDER BY created_at DESC, session_id DESC
