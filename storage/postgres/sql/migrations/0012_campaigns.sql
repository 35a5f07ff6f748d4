-- Campaigns, what the bonuses of an epoch are made from, and what cannot be taken back any more.

-- share is in 10,000ths of what work earned, of all nodes or of those in a country. spent is written by closes alone.
CREATE TABLE campaign (
    campaign_id uuid          PRIMARY KEY,
    name        text          NOT NULL,
    starts_at   timestamptz   NOT NULL,
    ends_at     timestamptz   NOT NULL CHECK (ends_at > starts_at),
    country     text          CHECK (country ~ '^[A-Z]{2}$'),
    share       integer       NOT NULL CHECK (share > 0),
    budget      numeric(38,0) NOT NULL CHECK (budget >= 0),
    spent       numeric(38,0) NOT NULL DEFAULT 0 CHECK (spent >= 0),
    version     integer       NOT NULL CHECK (version > 0),
    created_at  timestamptz   NOT NULL,
    updated_at  timestamptz   NOT NULL,
    updated_by  uuid          NOT NULL,
    CONSTRAINT campaign_budget CHECK (spent <= budget)
);

CREATE INDEX campaign_by_end ON campaign (ends_at);

-- What a campaign came to in an epoch: covered so many of its seconds, had so much left, was wanted for so much.
CREATE TABLE campaign_epoch (
    epoch       integer       NOT NULL REFERENCES epoch,
    campaign_id uuid          NOT NULL REFERENCES campaign,
    country     text,
    share       integer       NOT NULL,
    seconds     integer       NOT NULL CHECK (seconds > 0),
    available   numeric(38,0) NOT NULL CHECK (available > 0),
    wanted      numeric(38,0) NOT NULL CHECK (wanted > 0),
    paid        numeric(38,0) NOT NULL CHECK (paid BETWEEN 0 AND available),
    PRIMARY KEY (epoch, campaign_id)
);

-- Where a node was, if a campaign paid by country in the epoch.
ALTER TABLE epoch_node ADD COLUMN country text;

-- What the bonuses of whoever had one were made from: seconds among their first hours, days in a row completed.
-- Kept as long as what their nodes were measured with.
CREATE TABLE epoch_person (
    user_id       uuid    NOT NULL,
    epoch         integer NOT NULL,
    first_seconds integer NOT NULL CHECK (first_seconds >= 0),
    streak        integer NOT NULL CHECK (streak >= 0),
    PRIMARY KEY (epoch, user_id)
) PARTITION BY RANGE (epoch);

-- See to it that what nodes and people are measured with in an epoch has somewhere to go.
CREATE OR REPLACE FUNCTION make_epoch_partition(epoch integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    many  constant integer := 24;
    first integer := epoch - epoch % many;
    whole text;
    name  text;
BEGIN
    FOREACH whole IN ARRAY ARRAY['epoch_node', 'epoch_person'] LOOP
        name := whole || '_' || first;
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        -- Attached afterwards: that lets readers go on.
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', name, whole);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       whole, name, first, first + many);
    END LOOP;
END
$$;

-- lost: what was to be taken back and had been claimed already.
ALTER TABLE ledger_balance DROP CONSTRAINT ledger_balance_account, ADD CONSTRAINT ledger_balance_account CHECK (
    CASE WHEN user_id = '00000000-0000-0000-0000-000000000000'
         THEN account IN ('issued', 'unallocated', 'corrections', 'lost')
         ELSE account IN ('pending', 'held', 'final', 'claimable', 'claimed') END
);

-- What of a refused referral's commissions could not be taken back.
ALTER TABLE referral_sum ADD COLUMN lost numeric(38,0) NOT NULL DEFAULT 0 CHECK (lost >= 0),
                         ADD CHECK (held + taken + lost <= amount);

-- What is final cannot be less than nothing either.
DROP TRIGGER overdrawn ON ledger_balance;
CREATE TRIGGER overdrawn AFTER INSERT OR UPDATE ON ledger_balance FOR EACH ROW
WHEN (NEW.amount < 0 AND NEW.account IN ('final', 'claimable', 'claimed') OR NEW.amount > 0 AND NEW.account = 'issued')
EXECUTE FUNCTION refuse_overdraft();
