-- Nodes whose owners ended them, and tokens of nodes that are void before they run out.

-- A node without a key is a retired one, or one of an erased account. The tokens that a node got up to
-- tokens_end are void.
ALTER TABLE node
    ADD COLUMN retired_at timestamptz,
    ADD COLUMN tokens_end timestamptz,
    ADD CONSTRAINT node_retired_has_no_key CHECK (retired_at IS NULL OR public_key IS NULL);

CREATE INDEX node_by_tokens_end ON node (tokens_end) WHERE tokens_end IS NOT NULL;
