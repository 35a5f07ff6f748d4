-- The scores: the formulas there were, and every node's newest score beside what it was made from.

CREATE TABLE score_formula (
    version    integer     PRIMARY KEY CHECK (version > 0),
    parameters jsonb       NOT NULL,
    created_at timestamptz NOT NULL
);

-- Whoever was told a score by version 1 can compute it again, for good.
CREATE FUNCTION keep_score_formulas() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a score formula is never changed: add the next version';
END
$$;

CREATE TRIGGER kept BEFORE UPDATE OR DELETE OR TRUNCATE ON score_formula
FOR EACH STATEMENT EXECUTE FUNCTION keep_score_formulas();

INSERT INTO score_formula (version, created_at, parameters) VALUES (1, '2026-01-01T00:00:00Z', '{
    "weights": {"uptime": 3500, "latency": 2500, "challenges": 2500, "contribution": 1500},
    "required": ["uptime", "latency", "challenges"],
    "window_hours": 24,
    "settle_seconds": 120,
    "least_window_seconds": 3600,
    "least_samples": 10,
    "least_challenges": 10,
    "latency_bands": [
        {"up_to_ms": 40, "points": 10000},
        {"up_to_ms": 90, "points": 8500},
        {"up_to_ms": 200, "points": 6500},
        {"up_to_ms": 450, "points": 3500},
        {"up_to_ms": null, "points": 1000}
    ],
    "target_bytes": 1073741824
}');

-- What the flags that are up hold against a node: gate is in quarters of the score. Those who raise
-- flags define it anew.
CREATE VIEW node_gate AS
SELECT NULL::uuid AS node_id, NULL::text AS rule, NULL::smallint AS gate, NULL::jsonb AS evidence WHERE false;

-- A sum that stays a 64-bit number, held in the row of the hash table itself: sum(bigint) makes a
-- numeric, by a state of its own for each of a million groups. It fails when it does not fit.
CREATE AGGREGATE total(bigint) (
    SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl, PARALLEL = SAFE
);

-- Nearly every row changes with every computation. So each writes a table of its own, the one that
-- is not current, from empty: nothing is left behind in either, and a reader sees all or none of it. There
-- is nothing to vacuum, and they are read by their key alone or whole.
CREATE TABLE node_score_0 (
    bytes        bigint   NOT NULL,
    number       integer  PRIMARY KEY,
    window_s     integer  NOT NULL,
    confirmed    integer  NOT NULL,
    samples      integer  NOT NULL,
    answered     integer  NOT NULL,
    missed       integer  NOT NULL,
    refused      integer  NOT NULL,
    target       bigint   NOT NULL,
    -- The upper edge of the bucket with the median round trip; null without one.
    median_ms    smallint,
    -- 0 to 10000; null: not measured.
    uptime       smallint,
    latency      smallint,
    challenges   smallint,
    contribution smallint NOT NULL,
    base         smallint,
    score        smallint,
    -- The least gate, in quarters.
    gate         smallint NOT NULL CHECK (gate IN (0, 1, 4)),
    public       boolean  NOT NULL,
    located      boolean  NOT NULL,
    -- [{"rule": …, "gate": …, "evidence": {…}}]; null when there are none.
    gates        jsonb
) WITH (autovacuum_enabled = false);
CREATE TABLE node_score_1 (LIKE node_score_0 INCLUDING ALL) WITH (autovacuum_enabled = false);

-- Which of the two is current, and how it was made. Whoever computes holds the row.
CREATE TABLE score_run (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    current     smallint    NOT NULL CHECK (current IN (0, 1)),
    formula     integer     NOT NULL REFERENCES score_formula,
    computed_at timestamptz NOT NULL
);

INSERT INTO score_run (current, formula, computed_at) VALUES (0, 1, 'epoch');

-- Every node's newest score. Nothing is read of the table that is not current.
CREATE VIEW node_score AS
SELECT (SELECT formula FROM score_run) AS formula, (SELECT computed_at FROM score_run) AS computed_at, s.*
FROM node_score_0 s WHERE (SELECT current FROM score_run) = 0
UNION ALL
SELECT (SELECT formula FROM score_run), (SELECT computed_at FROM score_run), s.*
FROM node_score_1 s WHERE (SELECT current FROM score_run) = 1;

-- Addresses are in the evidence: nothing of it outlives the account.
CREATE FUNCTION forget_scores() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM node_score_0 USING node_state s WHERE s.user_id = NEW.user_id AND s.number = node_score_0.number;
    DELETE FROM node_score_1 USING node_state s WHERE s.user_id = NEW.user_id AND s.number = node_score_1.number;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_scores AFTER UPDATE OF deleted_at ON account
FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION forget_scores();
