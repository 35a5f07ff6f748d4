-- name: add
-- The address decides: whoever gets its row also gets the account. Returns nothing if it is taken.
WITH claimed AS (
    INSERT INTO account_email (email, user_id) VALUES ($2, $1)
    ON CONFLICT (email) DO NOTHING
    RETURNING user_id
)
INSERT INTO account (user_id, email, display_name, password_hash, role, created_at)
SELECT user_id, $2, $3, $4, $5, $6 FROM claimed
RETURNING user_id

-- name: by_email
SELECT a.user_id, a.email, a.display_name, a.password_hash, a.role, a.created_at
FROM account_email e JOIN account a USING (user_id)
WHERE e.email = $1

-- name: by_id
SELECT user_id, email, display_name, password_hash, role, created_at
FROM account
WHERE user_id = $1

-- name: set_password_hash
UPDATE account SET password_hash = $2 WHERE user_id = $1
