-- name: add
INSERT INTO mail (mail_id, recipient, template, body, created_at, next_at, expires_at, attempts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: drop_expired
DELETE FROM mail WHERE next_at <= $1 AND expires_at <= $1

-- name: take
-- Those that another sender is just taking are skipped.
WITH due AS (
    SELECT mail_id, next_at FROM mail
    WHERE next_at <= $1
    ORDER BY next_at, mail_id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE mail m SET next_at = $2, attempts = m.attempts + 1
    FROM due
    WHERE m.mail_id = due.mail_id
    RETURNING m.mail_id, m.recipient, m.template, m.body, m.created_at, m.next_at, m.expires_at, m.attempts
)
SELECT taken.* FROM taken JOIN due USING (mail_id) ORDER BY due.next_at, due.mail_id

-- name: sent
DELETE FROM mail WHERE mail_id = $1

-- name: postpone
UPDATE mail SET next_at = $2 WHERE mail_id = $1

-- name: waiting
SELECT count(*) FROM mail
