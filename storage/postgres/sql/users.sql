-- name: add
-- The address decides: whoever gets its row also gets the account. Returns nothing if it is taken.
WITH claimed AS (
    INSERT INTO account_email (email, user_id) VALUES ($2, $1)
    ON CONFLICT (email) DO NOTHING
    RETURNING user_id
)
INSERT INTO account (user_id, email, display_name, password_hash, role, locale, time_zone, created_at)
SELECT user_id, $2, $3, $4, $5, $6, $7, $8 FROM claimed
RETURNING user_id

-- name: by_email
SELECT p.* FROM account_email e JOIN person p USING (user_id) WHERE e.email = $1

-- name: by_ids
SELECT * FROM person WHERE user_id = ANY($1::uuid[])

-- name: all
SELECT * FROM person WHERE user_id > $1 ORDER BY user_id LIMIT $2

-- name: find
-- Between $3 and $4 are the addresses with the wanted beginning.
SELECT p.*
FROM person p
JOIN (
    SELECT user_id FROM account_email WHERE email COLLATE "C" BETWEEN $3 AND $4
    UNION
    SELECT $5::uuid
) found USING (user_id)
WHERE p.user_id > $1
ORDER BY p.user_id
LIMIT $2

-- name: lock
-- Waits for everybody who is adding something to the account, and makes the next ones wait.
SELECT email, wallet FROM account WHERE user_id = $1 AND deleted_at IS NULL FOR UPDATE

-- name: set_password_hash
UPDATE account SET password_hash = $2
WHERE user_id = $1 AND deleted_at IS NULL AND ($3::text IS NULL OR password_hash = $3)

-- name: set_profile
UPDATE account SET display_name = $2, locale = $3, time_zone = $4 WHERE user_id = $1 AND deleted_at IS NULL

-- name: set_role
UPDATE account SET role = $2 WHERE user_id = $1 AND deleted_at IS NULL RETURNING user_id

-- name: claim_wallet
-- Returns a row if the wallet is this user's now.
INSERT INTO account_wallet AS w (wallet, user_id) VALUES ($2, $1)
ON CONFLICT (wallet) DO UPDATE SET user_id = w.user_id WHERE w.user_id = EXCLUDED.user_id
RETURNING wallet

-- name: release_wallet
DELETE FROM account_wallet WHERE user_id = $1 AND wallet IS DISTINCT FROM $2

-- name: set_wallet
UPDATE account SET wallet = $2 WHERE user_id = $1

-- name: erase
WITH address AS (
    DELETE FROM account_email WHERE user_id = $1 RETURNING email
), pending AS (
    DELETE FROM registration WHERE email IN (SELECT email FROM address)
), wallet AS (
    DELETE FROM account_wallet WHERE user_id = $1
), resets AS (
    DELETE FROM password_reset WHERE user_id = $1
), changes AS (
    DELETE FROM email_change WHERE user_id = $1
), factor AS (
    DELETE FROM second_factor WHERE user_id = $1
), answers AS (
    DELETE FROM idempotent_request WHERE user_id = $1
), keys AS (
    DELETE FROM node_key WHERE user_id = $1
), codes AS (
    DELETE FROM referral_code WHERE user_id = $1
), traits AS (
    DELETE FROM person_trait WHERE user_id = $1
), evidence AS (
    UPDATE referral_flag SET value = '' WHERE (user_id = $1 OR other_id = $1) AND kind <> 'burst'
), connections AS (
    UPDATE node_session SET address = '' WHERE user_id = $1
), states AS (
    UPDATE node_state SET address = '', subnet = '', latitude = NULL, longitude = NULL WHERE user_id = $1
), nodes AS (
    UPDATE node SET public_key = NULL, name = '', retired_at = NULL, tokens_end = greatest(tokens_end, $2)
    WHERE user_id = $1
)
UPDATE account
SET email = '', display_name = '', password_hash = '', role = 'user', locale = 'en', time_zone = 'UTC',
    wallet = NULL, deleted_at = $2
WHERE user_id = $1
