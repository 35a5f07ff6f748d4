-- Referrals: codes, what people are recognised by, who brought whom, and what speaks against it.

-- code is what look-ups compare (storage/referrals.py: normal_code), shown is how its owner wrote it.
CREATE TABLE referral_code (
    code       text        PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES account ON DELETE CASCADE,
    shown      text        NOT NULL,
    alias      boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    clicks     bigint      NOT NULL DEFAULT 0,
    signups    bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

CREATE INDEX referral_code_of_user ON referral_code (user_id, created_at);

CREATE TRIGGER living BEFORE INSERT ON referral_code FOR EACH ROW EXECUTE FUNCTION require_living_account();

-- Who was brought by whom. Ancestors are those of the moment of joining, and never change. No references
-- but to the account itself: the rows of erased people stay, as pseudonyms.
CREATE TABLE referral (
    user_id     uuid        PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    referral_id uuid        NOT NULL UNIQUE,
    parent_id   uuid        NOT NULL,
    second_id   uuid,
    third_id    uuid,
    code        text        NOT NULL,
    joined_at   timestamptz NOT NULL,
    active_at   timestamptz,
    -- What the staff decided last; released: as far as it was flagged then.
    decision    text        CHECK (decision IN ('released', 'refused')),
    decided_at  timestamptz,
    decided_by  uuid,
    note        text        NOT NULL DEFAULT '',
    CHECK (user_id NOT IN (parent_id, second_id, third_id)),
    CHECK (parent_id <> second_id AND parent_id <> third_id AND second_id <> third_id),
    CHECK (third_id IS NULL OR second_id IS NOT NULL)
);

CREATE INDEX referral_of_parent ON referral (parent_id, referral_id);
CREATE INDEX referral_of_second ON referral (second_id, referral_id) WHERE second_id IS NOT NULL;
CREATE INDEX referral_of_third ON referral (third_id, referral_id) WHERE third_id IS NOT NULL;
CREATE INDEX referral_passive ON referral (user_id) WHERE active_at IS NULL;

-- A person gets a parent before they have children, once: so there is no cycle, whatever comes at the same
-- moment. Of two halves of one, each needs to itself the account that the other needs to be there.
CREATE FUNCTION require_parent_first() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    above referral;
BEGIN
    PERFORM FROM account WHERE user_id = NEW.user_id FOR UPDATE;
    PERFORM FROM account WHERE user_id = NEW.parent_id AND deleted_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = 'the parent is unknown or erased';
    END IF;
    IF EXISTS (SELECT FROM referral WHERE parent_id = NEW.user_id) THEN
        RAISE check_violation USING MESSAGE = 'whoever brought somebody gets no parent any more';
    END IF;
    SELECT * INTO above FROM referral WHERE user_id = NEW.parent_id;
    NEW.second_id := above.parent_id;
    NEW.third_id := above.second_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER parent_first BEFORE INSERT ON referral FOR EACH ROW EXECUTE FUNCTION require_parent_first();

CREATE FUNCTION keep_parents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'parents never change' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER kept BEFORE UPDATE OF user_id, referral_id, parent_id, second_id, third_id, code, joined_at ON referral
FOR EACH STATEMENT EXECUTE FUNCTION keep_parents();

-- What somebody was recognised by: mailbox, wallet, node_key, device, address, subnet, disposable (a mail domain).
CREATE TABLE person_trait (
    user_id uuid        NOT NULL,
    kind    text        NOT NULL CHECK (kind IN ('mailbox', 'wallet', 'node_key', 'device', 'address', 'subnet',
                                                 'disposable')),
    value   text        NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, kind, value)
);

CREATE INDEX person_trait_by_value ON person_trait (kind, value);
CREATE INDEX person_trait_passing ON person_trait (seen_at) WHERE kind IN ('address', 'subnet', 'device');

-- What speaks against a referral: value is shared with other_id, an ancestor; of a burst it is its size.
-- released: the staff saw it and found nothing wrong.
CREATE TABLE referral_flag (
    user_id   uuid        NOT NULL REFERENCES referral ON DELETE CASCADE,
    kind      text        NOT NULL CHECK (kind IN ('mailbox', 'wallet', 'node_key', 'device', 'address', 'subnet',
                                                   'disposable', 'burst')),
    other_id  uuid        NOT NULL,
    value     text        NOT NULL,
    raised_at timestamptz NOT NULL,
    released  boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, kind, other_id)
);

CREATE INDEX referral_flag_open ON referral_flag (user_id) WHERE NOT released;
CREATE INDEX referral_flag_of_other ON referral_flag (other_id);

-- What was paid for a referral, by who got it: all of it, what of that is held until the staff decides, and
-- what was taken back. The ledger has the same, without who it was for.
CREATE TABLE referral_sum (
    user_id    uuid          NOT NULL,
    referee_id uuid          NOT NULL,
    level      smallint      NOT NULL CHECK (level BETWEEN 1 AND 3),
    amount     numeric(38,0) NOT NULL CHECK (amount > 0),
    held       numeric(38,0) NOT NULL CHECK (held >= 0),
    taken      numeric(38,0) NOT NULL DEFAULT 0 CHECK (taken >= 0),
    PRIMARY KEY (user_id, referee_id),
    CHECK (held + taken <= amount)
) WITH (fillfactor = 70);

CREATE INDEX referral_sum_of_referee ON referral_sum (referee_id);

-- A referral as the product sees it. refused: it never counts; review: what it earns is held.
CREATE VIEW referral_now AS
SELECT r.*,
       CASE WHEN r.decision = 'refused' OR f.hard THEN 'refused' WHEN f.hard IS NULL THEN 'good' ELSE 'review' END
           AS state
FROM referral r
LEFT JOIN LATERAL (
    SELECT bool_or(kind IN ('mailbox', 'wallet', 'node_key', 'device')) AS hard
    FROM referral_flag f WHERE f.user_id = r.user_id AND NOT f.released
) f ON true;

-- Nobody is brought by themselves: whatever two accounts share that only one person has speaks against the
-- one below, whichever of the two had it first.
CREATE FUNCTION judge_traits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO referral_flag (user_id, kind, other_id, value, raised_at)
    SELECT DISTINCT ON (user_id, kind, other_id) * FROM (
        SELECT r.user_id, t.kind, o.user_id AS other_id, t.value, t.seen_at
        FROM added t
        JOIN referral r ON r.user_id = t.user_id
        JOIN person_trait o ON o.user_id IN (r.parent_id, r.second_id, r.third_id)
                           AND o.kind = t.kind AND o.value = t.value
        WHERE t.kind IN ('mailbox', 'wallet', 'node_key', 'device')
        UNION ALL
        SELECT r.user_id, t.kind, t.user_id, t.value, t.seen_at
        FROM added t
        JOIN person_trait o ON o.kind = t.kind AND o.value = t.value AND o.user_id <> t.user_id
        JOIN referral r ON r.user_id = o.user_id AND t.user_id IN (r.parent_id, r.second_id, r.third_id)
        WHERE t.kind IN ('mailbox', 'wallet', 'node_key', 'device')
    ) found (user_id, kind, other_id, value, seen_at)
    ORDER BY user_id, kind, other_id, value
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER judged AFTER INSERT ON person_trait REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION judge_traits();

-- Keys, wallets and mailboxes stay known to have been somebody's when they are free again.
CREATE FUNCTION remember_node_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO person_trait (user_id, kind, value, seen_at)
    SELECT user_id, 'node_key', encode(public_key, 'hex'), now() FROM added
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER remembered AFTER INSERT ON node_key REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION remember_node_keys();

CREATE FUNCTION remember_wallets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO person_trait (user_id, kind, value, seen_at)
    SELECT user_id, 'wallet', wallet, now() FROM added
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER remembered AFTER INSERT ON account_wallet REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION remember_wallets();

-- The mailbox that an address leads to: tags make no difference, nor do dots where they make none. Twin of
-- storage.referrals.mailbox.
CREATE FUNCTION mailbox_of(email text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN domain IN ('gmail.com', 'googlemail.com') THEN replace(owner, '.', '') || '@gmail.com'
                ELSE owner || '@' || domain END
    FROM (
        SELECT coalesce(nullif(split_part(local, '+', 1), ''), local) AS owner, domain
        FROM (SELECT regexp_replace(email, '@[^@]*$', '') AS local, substring(email FROM '[^@]*$') AS domain) parts
    ) named
$$;

CREATE FUNCTION remember_mailboxes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO person_trait (user_id, kind, value, seen_at)
    SELECT user_id, 'mailbox', mailbox_of(email), now() FROM added
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER remembered AFTER INSERT ON account_email REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION remember_mailboxes();

INSERT INTO person_trait (user_id, kind, value, seen_at)
SELECT user_id, 'node_key', encode(public_key, 'hex'), now() FROM node_key
UNION ALL
SELECT user_id, 'wallet', wallet, now() FROM account_wallet
UNION ALL
SELECT user_id, 'mailbox', mailbox_of(email), now() FROM account_email;

-- What whoever asks for an account is recognised by: [{"kind": …, "value": …}].
ALTER TABLE registration ADD COLUMN traits jsonb NOT NULL DEFAULT '[]';
