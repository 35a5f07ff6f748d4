-- Epochs: spans of time, what each paid, by which terms, and from which measurements.

CREATE TABLE earning_terms (
    version    integer     PRIMARY KEY CHECK (version > 0),
    parameters jsonb       NOT NULL,
    created_at timestamptz NOT NULL
);

-- Whoever was paid by version 1 can compute it again, for good.
CREATE FUNCTION keep_earning_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'terms are never changed: add the next version';
END
$$;

CREATE TRIGGER kept BEFORE UPDATE OR DELETE OR TRUNCATE ON earning_terms
FOR EACH STATEMENT EXECUTE FUNCTION keep_earning_terms();

-- closed_at null: the open one, of which there is one at most. seconds is the length that epochs are to have
-- from the next edge of those on; terms, final_at, nodes and users are known when it is closed.
CREATE TABLE epoch (
    number    integer     PRIMARY KEY CHECK (number > 0),
    starts_at timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL CHECK (ends_at > starts_at),
    seconds   integer     NOT NULL CHECK (seconds BETWEEN 60 AND 86400),
    terms     integer     REFERENCES earning_terms,
    closed_at timestamptz,
    final_at  timestamptz,
    final     boolean     NOT NULL DEFAULT false,
    nodes     integer     NOT NULL DEFAULT 0,
    users     integer     NOT NULL DEFAULT 0,
    CHECK (closed_at IS NULL OR (terms IS NOT NULL AND final_at IS NOT NULL))
);

CREATE UNIQUE INDEX epoch_open ON epoch ((true)) WHERE closed_at IS NULL;
CREATE INDEX epoch_by_end ON epoch (ends_at);
CREATE INDEX epoch_not_final ON epoch (number) WHERE NOT final;

CREATE TABLE epoch_pool (
    epoch       integer       NOT NULL REFERENCES epoch,
    category    text          NOT NULL,
    pool        numeric(38,0) NOT NULL CHECK (pool >= 0),
    weight      numeric(38,0) NOT NULL CHECK (weight >= 0),
    rewarded    numeric(38,0) NOT NULL CHECK (rewarded >= 0),
    unallocated numeric(38,0) NOT NULL CHECK (unallocated >= 0),
    PRIMARY KEY (epoch, category),
    CHECK (pool = rewarded + unallocated)
);

-- What each node was measured with, for as long as somebody may ask, and what it came to: a row for those with
-- a second or a byte. The epoch comes first: an epoch is written, read again and dropped whole.
CREATE TABLE epoch_node (
    bytes        bigint   NOT NULL CHECK (bytes >= 0),
    availability bigint   NOT NULL CHECK (availability >= 0),
    usage        bigint   NOT NULL CHECK (usage >= 0),
    number       integer  NOT NULL,
    epoch        integer  NOT NULL,
    seconds      integer  NOT NULL CHECK (seconds >= 0),
    -- 0 to 10000, null: not measured.
    score        smallint,
    gate         smallint NOT NULL,
    PRIMARY KEY (epoch, number)
) PARTITION BY RANGE (epoch);

-- See to it that what nodes are measured with in an epoch has somewhere to go.
CREATE FUNCTION make_epoch_partition(epoch integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    many  constant integer := 24;
    first integer := epoch - epoch % many;
    name  text := 'epoch_node_' || first;
BEGIN
    IF to_regclass(name) IS NULL THEN
        -- Attached afterwards: that lets readers go on.
        EXECUTE format('CREATE TABLE %I (LIKE epoch_node INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE epoch_node ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       name, first, first + many);
    END IF;
END
$$;

-- The newest sums over the open epoch.
CREATE TABLE epoch_measure (
    only_row     boolean       PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch        integer       NOT NULL,
    measured_at  timestamptz   NOT NULL,
    availability numeric(38,0) NOT NULL,
    usage        numeric(38,0) NOT NULL
);

-- What somebody has done so far, all nodes together, for the bonuses; days count from 1970. day_seconds are those of
-- day, streak is how many days in a row counted up to streak_day.
CREATE TABLE earner (
    user_id     uuid    PRIMARY KEY,
    seconds     bigint  NOT NULL,
    day_seconds bigint  NOT NULL,
    day         integer NOT NULL,
    streak      integer NOT NULL,
    streak_day  integer NOT NULL
) WITH (fillfactor = 50);

-- An epoch reads one hour of a day of hours. Those come in the order of time, so the coarsest of indexes finds
-- them, and costs those who write next to nothing.
CREATE INDEX node_hour_by_hour ON node_hour USING brin (hour) WITH (pages_per_range = 32, autosummarize = on);
