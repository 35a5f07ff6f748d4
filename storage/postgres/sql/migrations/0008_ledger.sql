-- The ledger: append-only, double-entry. Every figure that anybody is shown is a sum of postings.
--
-- An account is its owner and its name. The house is the owner 00000000-0000-0000-0000-000000000000. Amounts are
-- micro-points.
--
-- Whoever books inserts the entries, and then the postings of all of them in one statement: the triggers below
-- sum them up, refuse what does not balance, and keep the balances. What is booked cannot be changed by any
-- statement on these tables. The role that owns the tables could still drop them or switch the triggers off,
-- which needs DDL; a restore of a backup needs that. `pulseboard ledger check` finds what was changed that way.

CREATE TABLE ledger_entry (
    entry_id bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    -- What makes an entry the same as another: booking it again changes nothing.
    key      text        NOT NULL UNIQUE,
    kind     text        NOT NULL CHECK (kind IN ('reward', 'bonus', 'referral', 'correction', 'release', 'payable',
                                                  'claim', 'clawback', 'adjustment')),
    -- The epoch that it was booked in, and the time it stands for: that epoch's beginning.
    epoch    integer     NOT NULL,
    at       timestamptz NOT NULL,
    reverses bigint      REFERENCES ledger_entry CHECK (reverses < entry_id),
    memo     jsonb       NOT NULL DEFAULT '{}',
    booked_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (entry_id, at)
);

-- matures_at: when what is pending or held becomes final; 'infinity' where that has no meaning.
CREATE TABLE ledger_posting (
    user_id    uuid          NOT NULL,
    at         timestamptz   NOT NULL,
    entry_id   bigint        NOT NULL,
    account    text          NOT NULL,
    category   text          NOT NULL,
    matures_at timestamptz   NOT NULL DEFAULT 'infinity',
    amount     numeric(38,0) NOT NULL CHECK (amount <> 0),
    CHECK (matures_at = 'infinity' OR account IN ('pending', 'held')),
    PRIMARY KEY (user_id, at, entry_id, account, category, matures_at) INCLUDE (amount)
) PARTITION BY RANGE (at);

-- Postings of an entry lie together, so this tiny index finds them.
CREATE INDEX ledger_posting_of_entry ON ledger_posting USING brin (entry_id)
WITH (pages_per_range = 16, autosummarize = on);

-- What becomes final when.
CREATE INDEX ledger_posting_maturing ON ledger_posting (matures_at) WHERE matures_at < 'infinity';

-- What the postings of an entry come to for each category. There is one statement for them: another one would
-- find the key taken. That the entry is there, and for that time, is what the reference says.
CREATE TABLE ledger_sum (
    entry_id bigint      NOT NULL,
    category text        NOT NULL
        CHECK (category IN ('availability', 'usage', 'streak', 'first_hours', 'campaign', 'referral')),
    at       timestamptz NOT NULL,
    postings bigint      NOT NULL,
    credits  numeric     NOT NULL,
    debits   numeric     NOT NULL,
    PRIMARY KEY (entry_id, category),
    FOREIGN KEY (entry_id, at) REFERENCES ledger_entry (entry_id, at),
    CONSTRAINT ledger_sum_balanced CHECK (credits = debits)
);

-- What every account comes to, by what it was earned by.
CREATE TABLE ledger_balance (
    user_id  uuid          NOT NULL,
    account  text          NOT NULL,
    category text          NOT NULL,
    amount   numeric(38,0) NOT NULL,
    PRIMARY KEY (user_id, account, category),
    CONSTRAINT ledger_balance_account CHECK (
        CASE WHEN user_id = '00000000-0000-0000-0000-000000000000'
             THEN account IN ('issued', 'unallocated', 'corrections')
             ELSE account IN ('pending', 'held', 'final', 'claimable', 'claimed') END
    )
) WITH (fillfactor = 50);

-- In order, so that of two that meet one waits for the other instead of both for each other.
CREATE FUNCTION post_to_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_sum (entry_id, category, at, postings, credits, debits)
    SELECT entry_id, category, at, count(*), coalesce(sum(amount) FILTER (WHERE amount > 0), 0),
           coalesce(-sum(amount) FILTER (WHERE amount < 0), 0)
    FROM posted GROUP BY entry_id, category, at;

    INSERT INTO ledger_balance AS b (user_id, account, category, amount)
    SELECT user_id, account, category, sum(amount)
    FROM posted GROUP BY user_id, account, category ORDER BY user_id, account, category
    ON CONFLICT (user_id, account, category) DO UPDATE SET amount = b.amount + excluded.amount;
    RETURN NULL;
END
$$;

CREATE TRIGGER post AFTER INSERT ON ledger_posting REFERENCING NEW TABLE AS posted
FOR EACH STATEMENT EXECUTE FUNCTION post_to_ledger();

-- Not a CHECK: that would look at the change itself before it is added to what is there.
CREATE FUNCTION refuse_overdraft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'account % of %, %, would come to %', NEW.account, NEW.user_id, NEW.category, NEW.amount
        USING ERRCODE = 'check_violation', TABLE = 'ledger_balance', CONSTRAINT = 'ledger_balance_overdrawn';
END
$$;

CREATE TRIGGER overdrawn AFTER INSERT OR UPDATE ON ledger_balance FOR EACH ROW
WHEN (NEW.amount < 0 AND NEW.account IN ('claimable', 'claimed') OR NEW.amount > 0 AND NEW.account = 'issued')
EXECUTE FUNCTION refuse_overdraft();

CREATE FUNCTION keep_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: book a reversing entry instead of % on %', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_posting
FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();
-- These two are written by a trigger alone, in which the depth is 1.
CREATE TRIGGER kept BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_sum
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER kept BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_balance
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION keep_ledger();

-- The owner, too, may only add; a reference to entries needs their UPDATE, which the trigger refuses.
REVOKE DELETE, TRUNCATE ON ledger_entry FROM CURRENT_USER;
REVOKE UPDATE, DELETE, TRUNCATE ON ledger_posting FROM CURRENT_USER;
REVOKE UPDATE, DELETE, TRUNCATE ON ledger_sum FROM CURRENT_USER;
REVOKE DELETE, TRUNCATE ON ledger_balance FROM CURRENT_USER;

-- See to it that postings of the month of `at` (UTC) have somewhere to go, and those of the month after, so that
-- nobody has to wait at its turn.
CREATE FUNCTION make_posting_partition(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamp;
    name  text;
BEGIN
    FOREACH month IN ARRAY ARRAY[date_trunc('month', at AT TIME ZONE 'UTC'),
                                 date_trunc('month', at AT TIME ZONE 'UTC') + interval '1 month'] LOOP
        name := 'ledger_posting_' || to_char(month, 'YYYYMM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        PERFORM pg_advisory_xact_lock(hashtextextended('make_posting_partition', 0));
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        -- Attached afterwards: that lets readers go on.
        EXECUTE format('CREATE TABLE %I (LIKE ledger_posting INCLUDING ALL)', name);
        -- What names the partition itself would pass the table's own triggers by.
        EXECUTE format('CREATE TRIGGER kept BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger()', name);
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %I FROM CURRENT_USER', name);
        EXECUTE format('ALTER TABLE ledger_posting ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       name, month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END
$$;
