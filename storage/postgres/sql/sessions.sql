-- name: password_holds
-- Whether it is the password's hash still; the account's password stays as it is until the transaction ends.
SELECT password_hash = $2 FROM account WHERE user_id = $1 AND deleted_at IS NULL FOR KEY SHARE

-- name: add
WITH started AS (
    INSERT INTO login_session
        (user_id, session_id, token_hash, device, address, created_at, last_used_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
)
INSERT INTO login_token (user_id, session_id, token_hash) VALUES ($1, $2, $3)

-- name: remove_expired
DELETE FROM login_session WHERE user_id = $1 AND expires_at <= $2

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
WITH ended AS (
    DELETE FROM login_session WHERE user_id = $1 AND session_id = $2 RETURNING user_id, session_id
)
INSERT INTO ended_session (user_id, session_id, ended_at)
SELECT user_id, session_id, clock_timestamp() FROM ended
RETURNING session_id

-- name: end_all
-- Locked in order first: two who end the same sessions must not wait for each other.
WITH living AS (
    SELECT user_id, session_id FROM login_session
    WHERE user_id = $1 AND session_id IS DISTINCT FROM $2
    ORDER BY session_id
    FOR UPDATE
), ended AS (
    DELETE FROM login_session s USING living l
    WHERE s.user_id = l.user_id AND s.session_id = l.session_id
    RETURNING s.user_id, s.session_id
)
INSERT INTO ended_session (user_id, session_id, ended_at)
SELECT user_id, session_id, clock_timestamp() FROM ended
RETURNING session_id

-- name: ended_since
SELECT session_id FROM ended_session WHERE ended_at >= $1 ORDER BY ended_at

-- name: of_user
SELECT user_id, session_id, token_hash, device, address, created_at, last_used_at, expires_at
FROM login_session
WHERE user_id = $1 AND expires_at > $2
ORDER BY created_at DESC, session_id DESC

-- name: prune
WITH expired AS (
    DELETE FROM login_session WHERE expires_at <= $1 RETURNING 1
), forgotten AS (
    DELETE FROM ended_session WHERE ended_at < now() - interval '1 day' RETURNING 1
)
SELECT (SELECT count(*) FROM expired) + (SELECT count(*) FROM forgotten)
