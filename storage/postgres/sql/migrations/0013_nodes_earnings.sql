-- What comes of epochs before they are closed, and of nodes after what they were measured with is dropped.

-- The newest sums over each epoch that is not closed; usage null: it is not known yet whose bytes those are.
DROP TABLE epoch_measure;
CREATE TABLE epoch_measure (
    epoch        integer       PRIMARY KEY,
    measured_at  timestamptz   NOT NULL,
    availability numeric(38,0) NOT NULL,
    usage        numeric(38,0)
) WITH (fillfactor = 50);

-- How often a figure was changed by anything but what was measured or a close.
CREATE TABLE epoch_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    changes  bigint  NOT NULL
) WITH (fillfactor = 20);

INSERT INTO epoch_state (changes) VALUES (0);

-- The epochs from from_epoch on are in epoch_node, those before it in earned_day.
CREATE TABLE epochs_kept (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    from_epoch integer NOT NULL
);

INSERT INTO epochs_kept (from_epoch) VALUES (0);

-- What nodes earned by work on the days (UTC, counted from 1970) that epoch_node has no more, without corrections.
CREATE TABLE earned_day (
    availability bigint  NOT NULL CHECK (availability >= 0),
    usage        bigint  NOT NULL CHECK (usage >= 0),
    number       integer NOT NULL,
    day          integer NOT NULL,
    PRIMARY KEY (number, day)
) PARTITION BY RANGE (day);

CREATE FUNCTION earned_month(day integer) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'earned_day_' || to_char(date '1970-01-01' + day, 'YYYYMM')
$$;

-- See to it that the days of the epochs that are added up next have somewhere to go. In a transaction before that: whoever
-- reads meanwhile must know of it when it has rows.
CREATE FUNCTION open_earned_months() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    many  constant integer := 24;
    first integer := (SELECT from_epoch FROM epochs_kept FOR UPDATE);
    month date;
    name  text;
BEGIN
    FOR month IN
        SELECT DISTINCT date_trunc('month', starts_at AT TIME ZONE 'UTC') FROM epoch
        WHERE number >= first AND number < first + many ORDER BY 1
    LOOP
        name := earned_month(month - date '1970-01-01');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE earned_day INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE earned_day ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       name, month - date '1970-01-01', (month + interval '1 month')::date - date '1970-01-01');
    END LOOP;
END
$$;

-- Add up, by days, the oldest epochs that epoch_node still has the rows of, as many as one of its partitions has, if
-- all of them are final and ended by `before`; they count as gone from then on. Whether there were any.
CREATE FUNCTION roll_up_epochs(before timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    many  constant integer := 24;
    first integer := (SELECT from_epoch FROM epochs_kept FOR UPDATE);
BEGIN
    -- They count from 1.
    IF (SELECT count(*) FROM epoch WHERE number >= first AND number < first + many AND final AND ends_at <= before)
       < many - (first = 0)::integer THEN
        RETURN false;
    END IF;
    INSERT INTO earned_day AS d (availability, usage, number, day)
    SELECT sum(n.availability), sum(n.usage), n.number, e.day
    FROM epoch_node n
    JOIN (SELECT number AS epoch, (extract(epoch FROM starts_at)::bigint / 86400)::integer AS day FROM epoch) e USING (epoch)
    WHERE n.epoch >= first AND n.epoch < first + many AND (n.availability > 0 OR n.usage > 0)
    GROUP BY n.number, e.day
    ON CONFLICT (number, day) DO UPDATE
    SET availability = d.availability + EXCLUDED.availability, usage = d.usage + EXCLUDED.usage;
    UPDATE epochs_kept SET from_epoch = first + many;
    RETURN true;
END
$$;

-- Drop the rows of the epochs that are added up; returns how many epochs those could be.
CREATE FUNCTION drop_epochs() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    many    constant integer := 24;
    kept    integer := (SELECT from_epoch FROM epochs_kept FOR UPDATE);
    part    record;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT relname, substring(relname FROM '[0-9]+$')::integer AS first
        FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent IN ('epoch_node'::regclass, 'epoch_person'::regclass)
        ORDER BY first, relname
    LOOP
        EXIT WHEN part.first >= kept;
        EXECUTE format('DROP TABLE %I', part.relname);
        dropped := dropped + many * (part.relname LIKE 'epoch_node%')::integer;
    END LOOP;
    RETURN dropped;
END
$$;

-- Drop the months of nodes' earnings before that of a day; returns how many.
CREATE FUNCTION drop_earned_days(before integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    part    text;
    dropped integer := 0;
BEGIN
    PERFORM FROM epochs_kept FOR UPDATE;
    FOR part IN
        SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent = 'earned_day'::regclass AND relname < earned_month(before) ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- What of a referral's earnings becomes final when: few days, because that is at midnights. It is part of amount - taken.
ALTER TABLE referral_sum ADD COLUMN due_at timestamptz[] NOT NULL DEFAULT '{}',
                         ADD COLUMN due numeric(38,0)[] NOT NULL DEFAULT '{}',
                         ADD CHECK (cardinality(due_at) = cardinality(due));

-- What of it is not final after a time.
CREATE FUNCTION due_after(due_at timestamptz[], due numeric[], after timestamptz) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(sum(amount), 0) FROM unnest(due_at, due) d (at, amount) WHERE at > after
$$;
