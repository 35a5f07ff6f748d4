-- name: enrol
-- The key decides: whoever gets its row also gets the node. Returns nothing if it is taken.
WITH claimed AS (
    INSERT INTO node_key (public_key, user_id, node_id) VALUES ($3, $1, $2)
    ON CONFLICT (public_key) DO NOTHING
    RETURNING user_id
)
INSERT INTO node (user_id, node_id, public_key, name, created_at)
SELECT user_id, $2, $3, $4, $5 FROM claimed
RETURNING node_id

-- name: by_key
SELECT n.user_id, n.node_id, n.public_key, n.name, n.created_at
FROM node_key k JOIN node n USING (user_id, node_id)
WHERE k.public_key = $1

-- name: by_id
SELECT user_id, node_id, public_key, name, created_at FROM node
WHERE node_id = $1 AND public_key IS NOT NULL

-- name: of_user
SELECT user_id, node_id, public_key, name, created_at
FROM node
WHERE user_id = $1 AND public_key IS NOT NULL AND ($2::uuid IS NULL OR node_id > $2)
ORDER BY node_id
LIMIT $3

-- name: advance_token_time
UPDATE node SET token_time_ms = $2
WHERE node_id = $1 AND public_key IS NOT NULL AND token_time_ms < $2
RETURNING node_id
