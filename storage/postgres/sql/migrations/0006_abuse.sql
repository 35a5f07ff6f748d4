-- Signs of abuse: rules that an operator edits, the flags that they raise, and what was decided.

-- Every version of every rule; the newest of a name counts. parameters, bounds and meanings:
-- storage/abuse.py. gate is in quarters of the score, clear_after in seconds.
CREATE TABLE abuse_rule (
    name        text        NOT NULL,
    version     integer     NOT NULL CHECK (version > 0),
    enabled     boolean     NOT NULL,
    action      text        NOT NULL CHECK (action IN ('flag', 'gate', 'suspend')),
    gate        smallint    NOT NULL CHECK (gate IN (0, 1)),
    parameters  jsonb       NOT NULL,
    clear_after integer     NOT NULL CHECK (clear_after > 0),
    lifts       boolean     NOT NULL,
    updated_at  timestamptz NOT NULL,
    updated_by  uuid,
    PRIMARY KEY (name, version)
);

INSERT INTO abuse_rule (name, version, enabled, action, gate, parameters, clear_after, lifts, updated_at)
SELECT name, 1, true, action, gate, parameters::jsonb, clear_after, false, '2026-01-01T00:00:00Z' FROM (VALUES
    ('failing_challenges', 'gate', 0, 10800, '{"hours": 3, "percent": 20, "refused": 20}'),
    ('identical_timing', 'flag', 1, 43200, '{"hours": 24, "nodes": 5, "times": 6}'),
    ('impossible_travel', 'gate', 1, 21600, '{"hours": 24, "km": 500, "km_h": 1000}'),
    ('shared_address', 'gate', 1, 3600, '{"nodes": 2}'),
    ('shared_asn', 'flag', 1, 21600, '{"nodes": 5000, "percent": 20}'),
    ('shared_subnet', 'gate', 1, 3600, '{"nodes_24": 64, "nodes_64": 3}'),
    ('two_places', 'gate', 0, 21600, '{"grace": 60, "hours": 24}')
) AS shipped (name, action, gate, clear_after, parameters);

-- What a rule found about a node. subject tells causes of one rule apart, weight is how grave it is;
-- gone_since: the cause is not there any more. gate null: the score is left alone.
CREATE TABLE abuse_flag (
    flag_id      uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL,
    node_id      uuid        NOT NULL,
    rule         text        NOT NULL,
    rule_version integer     NOT NULL,
    subject      text        NOT NULL,
    weight       bigint      NOT NULL,
    evidence     jsonb       NOT NULL,
    action       text        NOT NULL CHECK (action IN ('flag', 'gate', 'suspend')),
    gate         smallint    CHECK (gate IN (0, 1)),
    state        text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'cleared', 'dismissed')),
    raised_at    timestamptz NOT NULL,
    raised_by    uuid,
    gone_since   timestamptz,
    ended_at     timestamptz CHECK ((ended_at IS NULL) = (state = 'active')),
    ended_by     uuid,
    note         text        NOT NULL DEFAULT '',
    quiet_until  timestamptz,
    -- Of a suspension whose node was retired: whoever enrols the key again is suspended by it.
    public_key   bytea,
    FOREIGN KEY (user_id, node_id) REFERENCES node ON DELETE CASCADE
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX abuse_flag_active ON abuse_flag (node_id, rule) WHERE state = 'active';
CREATE INDEX abuse_flag_by_state ON abuse_flag (state, flag_id);
CREATE INDEX abuse_flag_by_rule ON abuse_flag (rule, state, flag_id);
CREATE INDEX abuse_flag_suspending ON abuse_flag (node_id) WHERE state = 'active' AND action = 'suspend';
CREATE INDEX abuse_flag_dismissed ON abuse_flag (node_id, rule) WHERE state = 'dismissed';
CREATE INDEX abuse_flag_ended ON abuse_flag (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX abuse_flag_of_node ON abuse_flag (node_id, flag_id);
CREATE INDEX abuse_flag_of_user ON abuse_flag (user_id, flag_id);
CREATE INDEX abuse_flag_of_key ON abuse_flag (public_key) WHERE public_key IS NOT NULL AND state = 'active';

-- The life of a flag, with the evidence there was at each step. actor_id null: a rule did it.
CREATE TABLE abuse_decision (
    decision_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flag_id      uuid        NOT NULL REFERENCES abuse_flag ON DELETE CASCADE,
    at           timestamptz NOT NULL,
    decision     text        NOT NULL CHECK (decision IN ('raised', 'changed', 'cleared', 'dismissed')),
    action       text        NOT NULL,
    gate         smallint,
    rule_version integer     NOT NULL,
    evidence     jsonb       NOT NULL,
    actor_id     uuid,
    note         text        NOT NULL DEFAULT ''
);

CREATE INDEX abuse_decision_of_flag ON abuse_decision (flag_id, decision_id);

-- A node's newest connection was followed by one from another public address: written where
-- observations are applied. km is how far apart they are; overlap_to the last second (since the epoch)
-- that the one that was left was confirmed in after that.
CREATE TABLE node_move (
    user_id         uuid   NOT NULL,
    node_id         uuid   NOT NULL,
    from_connection uuid   NOT NULL,
    to_connection   uuid   NOT NULL,
    left_ms         bigint NOT NULL,
    at_ms           bigint NOT NULL,
    overlap_to      bigint,
    km              integer,
    from_address    text   NOT NULL,
    to_address      text   NOT NULL,
    from_subnet     text   NOT NULL,
    to_subnet       text   NOT NULL,
    from_country    text,
    to_country      text,
    PRIMARY KEY (user_id, node_id, from_connection),
    FOREIGN KEY (user_id, node_id) REFERENCES node ON DELETE CASCADE
);

CREATE INDEX node_move_from ON node_move (node_id, from_connection);
CREATE INDEX node_move_by_time ON node_move (at_ms);
CREATE INDEX node_move_overlapping ON node_move (overlap_to) WHERE overlap_to IS NOT NULL;

CREATE INDEX node_state_suspended ON node_state (node_id) WHERE suspended;
CREATE INDEX node_hour_refused ON node_hour (hour, number) WHERE refused > 0;

-- A UUIDv7 of that time; the server has had its own since version 18 only.
CREATE FUNCTION time_ordered_id(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;

-- What flags do to scores.
CREATE OR REPLACE VIEW node_gate AS
SELECT node_id, rule, CASE WHEN action = 'suspend' THEN 0 ELSE gate END::smallint AS gate, evidence
FROM abuse_flag WHERE state = 'active' AND action <> 'flag';

-- Addresses are in the evidence: nothing of it outlives the account.
CREATE TRIGGER living BEFORE INSERT ON abuse_flag FOR EACH ROW EXECUTE FUNCTION require_living_account();

CREATE FUNCTION forget_abuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM abuse_flag WHERE user_id = NEW.user_id;
    DELETE FROM node_move WHERE user_id = NEW.user_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_abuse AFTER UPDATE OF deleted_at ON account
FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION forget_abuse();

-- Nobody gets rid of a suspension by retiring the node and enrolling its key again.
CREATE FUNCTION keep_suspension() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE abuse_flag SET public_key = OLD.public_key
    WHERE node_id = OLD.node_id AND state = 'active' AND action = 'suspend';
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_suspension AFTER UPDATE OF public_key ON node
FOR EACH ROW WHEN (NEW.public_key IS NULL AND OLD.public_key IS NOT NULL) EXECUTE FUNCTION keep_suspension();

-- To somebody else's node it goes without the addresses of the one before.
CREATE FUNCTION follow_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE abuse_decision d SET evidence = d.evidence - 'address' - 'addresses'
    FROM abuse_flag f
    WHERE f.public_key = NEW.public_key AND f.state = 'active' AND f.user_id <> NEW.user_id AND d.flag_id = f.flag_id;
    WITH followed AS (
        UPDATE abuse_flag f
        SET user_id = NEW.user_id, node_id = NEW.node_id, public_key = NULL,
            subject = CASE WHEN f.user_id = NEW.user_id THEN f.subject ELSE '' END,
            evidence = CASE WHEN f.user_id = NEW.user_id THEN f.evidence
                            ELSE f.evidence - 'address' - 'addresses' END
        WHERE f.public_key = NEW.public_key AND f.state = 'active'
        RETURNING f.flag_id, f.action, f.gate, f.rule_version, f.evidence
    )
    INSERT INTO abuse_decision (flag_id, at, decision, action, gate, rule_version, evidence, note)
    SELECT flag_id, NEW.created_at, 'changed', action, gate, rule_version, evidence, 'Its key was enrolled again.'
    FROM followed ORDER BY flag_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER follow_key AFTER INSERT ON node FOR EACH ROW EXECUTE FUNCTION follow_key();
