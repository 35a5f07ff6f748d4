-- Statistics: days of nodes and of the network, made of their hours, and what keeps the hours small.

-- The days with measurements. changed is the revision of the last change, rolled the one that node_day
-- and network_day hold: unless they are equal, the hours are what counts. packed: rewritten in the
-- order of its key.
CREATE TABLE measured_day (
    day       integer PRIMARY KEY,
    changed   bigint  NOT NULL,
    rolled    bigint,
    rolled_at timestamptz,
    packed    boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

INSERT INTO measured_day (day, changed)
SELECT day, revision FROM (SELECT DISTINCT hour / 24 AS day FROM node_hour) d, ingest_cursor;

-- Hours before this one were dropped; what is heard of them comes too late.
CREATE TABLE hours_kept (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    from_hour integer NOT NULL
);

INSERT INTO hours_kept (from_hour) VALUES (0);

-- A node's days. The round trips of a day are sixteen counts of 16 bits, four to a number, the most
-- significant first: rtt_0 counts the buckets 0, 2, 4, 6, rtt_1 1, 3, 5, 7, rtt_2 8, 10, 12, 14 and rtt_3 the
-- rest. So the histograms of 24 hours are added four buckets at a time.
CREATE TABLE node_day (
    bytes_up   bigint   NOT NULL,
    bytes_down bigint   NOT NULL,
    rtt_0      bigint   NOT NULL,
    rtt_1      bigint   NOT NULL,
    rtt_2      bigint   NOT NULL,
    rtt_3      bigint   NOT NULL,
    number     integer  NOT NULL,
    day        integer  NOT NULL,
    seconds    integer  NOT NULL CHECK (seconds BETWEEN 0 AND 86400),
    errors     integer  NOT NULL,
    answered   integer  NOT NULL,
    missed     integer  NOT NULL,
    refused    integer  NOT NULL,
    PRIMARY KEY (number, day)
) PARTITION BY RANGE (day);

-- The days of the network by country ('' is unknown, '*' all together, which network_hour has of the
-- days that are rolled up). nodes is the most that
-- reported in one hour, node_hours their sum over the hours.
CREATE TABLE network_day (
    day        integer  NOT NULL,
    country    text     NOT NULL,
    nodes      integer  NOT NULL,
    node_hours bigint   NOT NULL,
    seconds    bigint   NOT NULL,
    bytes_up   bigint   NOT NULL,
    bytes_down bigint   NOT NULL,
    answered   bigint   NOT NULL,
    missed     bigint   NOT NULL,
    refused    bigint   NOT NULL,
    rtt        bigint[] NOT NULL,
    PRIMARY KEY (day, country)
);

-- Days, counted from the epoch, have somewhere to go: node_hour's by day, node_day's by month. Nobody
-- makes the same one twice, because whoever calls these holds the row of ingest_cursor.
CREATE FUNCTION open_days(days integer[]) RETURNS void LANGUAGE sql AS $$
    SELECT make_hour_partition(day)
    FROM unnest(days) day WHERE day >= (SELECT from_hour / 24 FROM hours_kept)
$$;

CREATE FUNCTION make_day_partition(day integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', date '1970-01-01' + day);
    name  text := 'node_day_' || to_char(month, 'YYYYMM');
BEGIN
    IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE node_day INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE node_day ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       name, month - date '1970-01-01', (month + interval '1 month')::date - date '1970-01-01');
    END IF;
END
$$;

CREATE FUNCTION hour_partition(day integer) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'node_hour_' || to_char(date '1970-01-01' + day, 'YYYYMMDD')
$$;

-- Packing rewrites a day of node_hour in the order of its key and without what seconds tell already: a
-- node's day is on a page or two then. Three steps, each a transaction, and none of them keeps
-- others waiting. Begun again after any interruption, it starts anew. Each returns true.

-- What was written to a day while it is being packed.
CREATE TABLE node_hour_late (
    number integer NOT NULL,
    hour   integer NOT NULL
);

CREATE FUNCTION note_late_hour() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO node_hour_late VALUES (NEW.number, NEW.hour);
    RETURN NULL;
END
$$;

CREATE FUNCTION lock_packing() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('node_hour packing')) THEN
        RAISE lock_not_available USING MESSAGE = 'a day is being packed';
    END IF;
END
$$;

CREATE FUNCTION begin_packing(day integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_packing();
    EXECUTE format('DROP TABLE IF EXISTS %I', hour_partition(day) || '_packed');
    EXECUTE format('CREATE OR REPLACE TRIGGER late AFTER INSERT OR UPDATE ON %I '
                   'FOR EACH ROW EXECUTE FUNCTION note_late_hour()', hour_partition(day));
    DELETE FROM node_hour_late WHERE hour >= day * 24 AND hour < (day + 1) * 24;
    RETURN true;
END
$$;

CREATE FUNCTION copy_packed(day integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    packed     text := hour_partition(day) || '_packed';
    definition text;
BEGIN
    PERFORM lock_packing();
    -- The check saves looking at every row when it is attached.
    EXECUTE format('CREATE TABLE %I (LIKE node_hour INCLUDING CONSTRAINTS, '
                   'CONSTRAINT within_day CHECK (hour >= %s AND hour < %s))', packed, day * 24, (day + 1) * 24);
    EXECUTE format('INSERT INTO %I (minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, '
                   'seconds, answered, missed, refused, confirmed) '
                   'SELECT minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, '
                   'seconds, answered, missed, refused, CASE WHEN seconds BETWEEN 1 AND 3599 THEN confirmed END '
                   'FROM %I ORDER BY number, hour', packed, hour_partition(day));
    EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (number, hour) WITH (fillfactor = 100)', packed);
    -- What node_hour has besides, made now: else it would be made while everybody waits.
    FOR definition IN
        SELECT pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = 'node_hour'::regclass AND NOT indisprimary
    LOOP
        EXECUTE regexp_replace(definition, '^CREATE (UNIQUE )?INDEX \S+ ON (ONLY )?\S+',
                               format('CREATE \1INDEX ON %I', packed));
    END LOOP;
    EXECUTE format('ANALYZE %I', packed);
    RETURN true;
END
$$;

CREATE FUNCTION finish_packing(day integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    part   text := hour_partition(day);
    packed text := part || '_packed';
    index  text;
BEGIN
    PERFORM lock_packing();
    PERFORM FROM ingest_cursor FOR UPDATE;
    LOCK TABLE node_hour IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('DELETE FROM %I p USING node_hour_late l WHERE p.number = l.number AND p.hour = l.hour', packed);
    EXECUTE format('INSERT INTO %I SELECT h.* FROM %I h JOIN (SELECT DISTINCT number, hour FROM node_hour_late '
                   'WHERE hour >= %s AND hour < %s) l USING (number, hour)',
                   packed, part, day * 24, (day + 1) * 24);
    DELETE FROM node_hour_late WHERE hour >= day * 24 AND hour < (day + 1) * 24;
    EXECUTE format('ALTER TABLE node_hour DETACH PARTITION %I', part);
    EXECUTE format('DROP TABLE %I', part);
    EXECUTE format('ALTER TABLE node_hour ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   packed, day * 24, (day + 1) * 24);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT within_day', packed);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', packed, part);
    FOR index IN
        SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = part::regclass
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', index, replace(index, packed, part));
    END LOOP;
    UPDATE measured_day d SET packed = true WHERE d.day = finish_packing.day;
    RETURN true;
END
$$;

-- Drop the hours before a day, up to the first day that was not rolled up as it is; returns how many days.
CREATE FUNCTION drop_hours(before integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    part    text;
    dropped integer := 0;
BEGIN
    PERFORM FROM ingest_cursor FOR UPDATE;
    before := least(before, (SELECT min(day) FROM measured_day
                             WHERE rolled IS DISTINCT FROM changed
                               AND day >= (SELECT from_hour / 24 FROM hours_kept)));
    UPDATE hours_kept SET from_hour = before * 24 WHERE from_hour < before * 24;
    FOR part IN
        SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent = 'node_hour'::regclass AND relname < hour_partition(before) ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE %I', part);
        EXECUTE format('DROP TABLE IF EXISTS %I', part || '_packed');
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM network_hour WHERE hour < before * 24;
    RETURN dropped;
END
$$;

-- Drop the days before a day, of nodes by whole months; returns how many months.
CREATE FUNCTION drop_days(before integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    part    text;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent = 'node_day'::regclass
          AND relname < 'node_day_' || to_char(date '1970-01-01' + before, 'YYYYMM')
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM network_day WHERE day < before;
    DELETE FROM measured_day WHERE day < before;
    RETURN dropped;
END
$$;
