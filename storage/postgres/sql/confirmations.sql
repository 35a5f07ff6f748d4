-- name: put_registration
INSERT INTO registration
    (email, token_hash, display_name, password_hash, locale, referral_code, created_at, expires_at, traits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (email) DO UPDATE
SET token_hash = EXCLUDED.token_hash, display_name = EXCLUDED.display_name,
    password_hash = EXCLUDED.password_hash, locale = EXCLUDED.locale,
    referral_code = EXCLUDED.referral_code, created_at = EXCLUDED.created_at,
    expires_at = EXCLUDED.expires_at, traits = EXCLUDED.traits

-- name: use_registration
DELETE FROM registration WHERE token_hash = $1 AND expires_at > $2
RETURNING email, display_name, password_hash, locale, referral_code, traits

-- name: put_reset
INSERT INTO password_reset (user_id, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE
SET token_hash = EXCLUDED.token_hash, created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at

-- name: reset_owner
SELECT p.* FROM password_reset r JOIN person p USING (user_id) WHERE r.token_hash = $1 AND r.expires_at > $2

-- name: use_reset
DELETE FROM password_reset WHERE user_id = $1 AND token_hash = $2 AND expires_at > $3 RETURNING user_id

-- name: drop_reset
DELETE FROM password_reset WHERE user_id = $1

-- name: put_email_change
INSERT INTO email_change (user_id, new_email, old_hash, new_hash, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (user_id) DO UPDATE
SET new_email = EXCLUDED.new_email, old_hash = EXCLUDED.old_hash, new_hash = EXCLUDED.new_hash,
    created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at

-- name: whose_email_change
SELECT user_id FROM email_change WHERE (old_hash = $1 OR new_hash = $1) AND expires_at > $2

-- name: use_email_change
UPDATE email_change
SET old_hash = CASE WHEN old_hash = $2 THEN NULL ELSE old_hash END,
    new_hash = CASE WHEN new_hash = $2 THEN NULL ELSE new_hash END
WHERE user_id = $1 AND (old_hash = $2 OR new_hash = $2) AND expires_at > $3
RETURNING new_email, old_hash IS NULL AND new_hash IS NULL AS complete

-- name: drop_email_change
DELETE FROM email_change WHERE user_id = $1

-- name: claim_email
INSERT INTO account_email (email, user_id) VALUES ($2, $1) ON CONFLICT (email) DO NOTHING RETURNING user_id

-- name: release_email
DELETE FROM account_email WHERE user_id = $1 AND email <> $2

-- name: set_email
UPDATE account SET email = $2 WHERE user_id = $1

-- name: prune
WITH registrations AS (
    DELETE FROM registration WHERE expires_at <= $1 RETURNING 1
), resets AS (
    DELETE FROM password_reset WHERE expires_at <= $1 RETURNING 1
), changes AS (
    DELETE FROM email_change WHERE expires_at <= $1 RETURNING 1
)
SELECT (SELECT count(*) FROM registrations) + (SELECT count(*) FROM resets) + (SELECT count(*) FROM changes)
