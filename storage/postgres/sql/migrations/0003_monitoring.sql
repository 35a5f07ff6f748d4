-- Monitoring: what is measured of each node, in seconds, by hour, and where it is.
--
-- What changes with every report stands in node_state alone: one row for each node, room in its pages,
-- and no index on what changes, so that an update touches one page. The sums of a node's current hour
-- are there too; when its next hour begins they move to node_hour, which is only added to. Whoever
-- changes node_state, or a table that goes with it, holds the row of ingest_cursor.

CREATE TABLE node_state (
    -- The sums of hour, which counts from the epoch. confirmed are seconds within it, seconds their
    -- number, and bit m of minutes says that minute m has one. rtt_low and rtt_high: see storage/rtt.py.
    minutes       bigint         NOT NULL DEFAULT 0,
    bytes_up      bigint         NOT NULL DEFAULT 0,
    bytes_down    bigint         NOT NULL DEFAULT 0,
    rtt_low       bigint         NOT NULL DEFAULT 0,
    rtt_high      bigint         NOT NULL DEFAULT 0,
    -- Of all hours; the end of the last confirmed second, since the epoch.
    confirmed_s   bigint         NOT NULL DEFAULT 0,
    confirmed_to  bigint         NOT NULL DEFAULT 0,
    -- Of the session, what its row in node_session does not have yet.
    session_up    bigint         NOT NULL DEFAULT 0,
    session_down  bigint         NOT NULL DEFAULT 0,
    seen_s        bigint         NOT NULL DEFAULT 0,
    hour          integer        NOT NULL DEFAULT 0,
    seconds       integer        NOT NULL DEFAULT 0 CHECK (seconds BETWEEN 0 AND 3600),
    errors        integer        NOT NULL DEFAULT 0,
    answered      integer        NOT NULL DEFAULT 0,
    missed        integer        NOT NULL DEFAULT 0,
    refused       integer        NOT NULL DEFAULT 0,
    rtt_us        integer        NOT NULL DEFAULT 0,
    jitter_us     integer        NOT NULL DEFAULT 0,
    confirmed     int4multirange NOT NULL DEFAULT '{}',

    -- What follows changes when a connection comes or goes. number stands for the node where a row is
    -- kept for each of its hours.
    number        integer        NOT NULL GENERATED ALWAYS AS IDENTITY,
    user_id       uuid           NOT NULL,
    node_id       uuid           NOT NULL,
    status        text           NOT NULL DEFAULT 'offline'
                  CHECK (status IN ('online', 'degraded', 'offline', 'suspended')),
    since_ms      bigint,
    -- Of the newest connection; presumed: its end was concluded from its worker's silence.
    connection_id uuid,
    session_id    uuid,
    opened_ms     bigint         NOT NULL DEFAULT 0,
    online        boolean        NOT NULL DEFAULT false,
    presumed      boolean        NOT NULL DEFAULT false,
    closed_ms     bigint,
    closed_code   integer,
    sound         boolean        NOT NULL DEFAULT true,
    suspended     boolean        NOT NULL DEFAULT false,
    -- The node has no key any more: nothing that is heard of it counts.
    retired       boolean        NOT NULL DEFAULT false,
    flapping      boolean        NOT NULL DEFAULT false,
    penalty       integer        NOT NULL DEFAULT 0,
    penalty_ms    bigint         NOT NULL DEFAULT 0,
    worker        text           NOT NULL DEFAULT '',
    address       text           NOT NULL DEFAULT '',
    -- The /24 or /64 around the address, '' for what is no public one.
    subnet        text           NOT NULL DEFAULT '',
    country       text,
    asn           bigint,
    latitude      real,
    longitude     real,
    agent_version text           NOT NULL DEFAULT '',
    PRIMARY KEY (user_id, node_id),
    FOREIGN KEY (user_id, node_id) REFERENCES node ON DELETE CASCADE
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX node_state_by_id ON node_state (node_id);
CREATE UNIQUE INDEX node_state_by_number ON node_state (number);
CREATE INDEX node_state_online_by_worker ON node_state (worker) WHERE online;
CREATE INDEX node_state_presumed ON node_state (node_id) WHERE presumed;
CREATE INDEX node_state_flapping ON node_state (node_id) WHERE flapping;

INSERT INTO node_state (user_id, node_id, confirmed_s, confirmed_to, status, since_ms, connection_id,
                        session_id, opened_ms, online, presumed, closed_ms, closed_code, worker, retired)
SELECT user_id, node_id, confirmed_ms / 1000, ceil(extract(epoch FROM confirmed_until)),
       CASE WHEN online THEN 'online' ELSE 'offline' END, extract(epoch FROM since) * 1000,
       session_id, session_id, extract(epoch FROM opened_at) * 1000, online, presumed,
       CASE WHEN NOT online THEN extract(epoch FROM since) * 1000 END,
       CASE WHEN NOT online AND NOT presumed THEN 1006 END, worker, public_key IS NULL
FROM node;

-- Connections that were followed by others while it is not settled whether the seconds between, from_s up
-- to to_s, count. opened_ms null: its end was heard of before its beginning. closed_ms null: its end was not
-- heard of; with it, code null: it was presumed.
CREATE TABLE node_unsettled (
    user_id       uuid    NOT NULL,
    node_id       uuid    NOT NULL,
    connection_id uuid    NOT NULL,
    worker        text    NOT NULL,
    opened_ms     bigint,
    closed_ms     bigint,
    code          integer,
    from_s        bigint  NOT NULL,
    to_s          bigint  NOT NULL,
    PRIMARY KEY (user_id, node_id, connection_id)
);

CREATE INDEX node_unsettled_of_node ON node_unsettled (node_id);
CREATE INDEX node_unsettled_by_worker ON node_unsettled (worker) WHERE closed_ms IS NULL;

-- Whoever adds a node adds its state.
CREATE FUNCTION add_node_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO node_state (user_id, node_id) VALUES (NEW.user_id, NEW.node_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER state AFTER INSERT ON node FOR EACH ROW EXECUTE FUNCTION add_node_state();

-- Whoever takes a node's key retires it.
CREATE FUNCTION retire_node_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE node_state SET retired = true WHERE user_id = NEW.user_id AND node_id = NEW.node_id;
    DELETE FROM node_unsettled WHERE user_id = NEW.user_id AND node_id = NEW.node_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER retired AFTER UPDATE OF public_key ON node FOR EACH ROW WHEN (NEW.public_key IS NULL)
EXECUTE FUNCTION retire_node_state();

DROP INDEX node_online_by_worker;
ALTER TABLE node
    DROP COLUMN online, DROP COLUMN since, DROP COLUMN confirmed_ms, DROP COLUMN confirmed_until,
    DROP COLUMN session_id, DROP COLUMN opened_at, DROP COLUMN worker, DROP COLUMN presumed;

-- A node's hours, but for its current one. A row for each, thirty-five days of a million nodes: so a node
-- is its number here, which takes a quarter of two ids in the row and in its index (docs/decisions).
-- confirmed null: seconds is 0 or 3600 and tells it all.
CREATE TABLE node_hour (
    minutes    bigint   NOT NULL,
    bytes_up   bigint   NOT NULL,
    bytes_down bigint   NOT NULL,
    rtt_low    bigint   NOT NULL,
    rtt_high   bigint   NOT NULL,
    number     integer  NOT NULL,
    hour       integer  NOT NULL,
    errors     integer  NOT NULL,
    seconds    smallint NOT NULL CHECK (seconds BETWEEN 0 AND 3600),
    answered   smallint NOT NULL,
    missed     smallint NOT NULL,
    refused    smallint NOT NULL,
    confirmed  int4multirange,
    PRIMARY KEY (number, hour)
) PARTITION BY RANGE (hour);

-- Seconds, and the minutes that have one, of an hour.
CREATE FUNCTION seconds_in(confirmed int4multirange) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(upper(span) - lower(span)), 0)::integer FROM unnest(confirmed) span
$$;

-- Two halves of a histogram of round trips added; each of the eight counts stops at 255.
CREATE FUNCTION rtt_add(a bigint, b bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    lanes  constant bigint := x'00FF00FF00FF00FF'::bigint;
    ones   constant bigint := x'0001000100010001'::bigint;
    even   bigint := (a & lanes) + (b & lanes);
    odd    bigint := ((a >> 8) & lanes) + ((b >> 8) & lanes);
BEGIN
    even := (even | (((even >> 8) & ones) * 255)) & lanes;
    odd := (odd | (((odd >> 8) & ones) * 255)) & lanes;
    RETURN even | (odd << 8);
END
$$;

CREATE AGGREGATE rtt_sum(bigint) (SFUNC = rtt_add, STYPE = bigint, INITCOND = '0');

-- See to it that the hours of a day, counted from the epoch, have somewhere to go.
CREATE FUNCTION make_hour_partition(day integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := 'node_hour_' || to_char(date '1970-01-01' + day, 'YYYYMMDD');
BEGIN
    IF to_regclass(name) IS NULL THEN
        -- Attached afterwards: that lets readers go on.
        EXECUTE format('CREATE TABLE %I (LIKE node_hour INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE node_hour ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       name, day * 24, (day + 1) * 24);
    END IF;
END
$$;

SELECT make_hour_partition((extract(epoch FROM day) / 86400)::integer)
FROM (SELECT DISTINCT date_trunc('day', hour) AS day FROM uptime_hour) d;

INSERT INTO node_hour (minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors,
                       seconds, answered, missed, refused, confirmed)
SELECT (1::bigint << ((h.confirmed_ms / 1000 + 59) / 60)::integer) - 1, h.bytes_up, h.bytes_down, 0, 0, s.number,
       extract(epoch FROM h.hour) / 3600, least(h.errors, 2147483647), h.confirmed_ms / 1000, 0, 0, 0,
       CASE WHEN h.confirmed_ms / 1000 BETWEEN 1 AND 3599
            THEN int4multirange(int4range(0, (h.confirmed_ms / 1000)::integer)) END
FROM uptime_hour h JOIN node_state s USING (user_id, node_id);

-- The newest one is the current one.
WITH newest AS (
    DELETE FROM node_hour h
    WHERE (number, hour) IN (SELECT number, max(hour) FROM node_hour GROUP BY number)
    RETURNING h.*
)
UPDATE node_state s
SET hour = n.hour, minutes = n.minutes, bytes_up = n.bytes_up, bytes_down = n.bytes_down, errors = n.errors,
    seconds = n.seconds, confirmed = coalesce(n.confirmed, CASE n.seconds WHEN 0 THEN '{}'::int4multirange ELSE '{[0,3600)}' END)
FROM newest n
WHERE s.number = n.number;

DROP TABLE uptime_hour;

-- Every hour of every node: the one place where those who read need not know where an hour is kept.
CREATE VIEW node_hours AS
SELECT number, hour, minutes, seconds::integer AS seconds,
       coalesce(confirmed, CASE WHEN seconds = 0 THEN '{}'::int4multirange ELSE '{[0,3600)}' END) AS confirmed,
       bytes_up, bytes_down, errors, answered::integer AS answered, missed::integer AS missed,
       refused::integer AS refused, rtt_low, rtt_high
FROM node_hour
UNION ALL
SELECT number, hour, minutes, seconds, confirmed, bytes_up, bytes_down, errors, answered, missed, refused,
       rtt_low, rtt_high
FROM node_state WHERE hour > 0;

-- The sessions of a node: of one connection or of several with short pauses. A closed one without a code
-- ended with its worker. session_id is the first connection's, a UUIDv7, hence in order of time.
DROP INDEX node_session_open_by_worker;
ALTER TABLE node_session
    ADD COLUMN connections integer NOT NULL DEFAULT 1,
    ADD COLUMN bytes_up    bigint  NOT NULL DEFAULT 0,
    ADD COLUMN bytes_down  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN country     text,
    ADD COLUMN asn         bigint;

CREATE INDEX node_session_by_end ON node_session (closed_at);

-- The whole network by hour and country ('' is unknown). nodes are those with a report in that hour.
CREATE TABLE network_hour (
    hour       integer  NOT NULL,
    country    text     NOT NULL,
    nodes      integer  NOT NULL DEFAULT 0,
    seconds    bigint   NOT NULL DEFAULT 0,
    bytes_up   bigint   NOT NULL DEFAULT 0,
    bytes_down bigint   NOT NULL DEFAULT 0,
    answered   bigint   NOT NULL DEFAULT 0,
    missed     bigint   NOT NULL DEFAULT 0,
    refused    bigint   NOT NULL DEFAULT 0,
    rtt        bigint[] NOT NULL DEFAULT array_fill(0::bigint, ARRAY[16]),
    PRIMARY KEY (hour, country)
) WITH (fillfactor = 50);

-- Nodes with an open connection, by country ('' is unknown).
CREATE TABLE network_country (
    country      text    PRIMARY KEY,
    nodes_online integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

INSERT INTO network_country (country, nodes_online) SELECT '', count(*) FROM node_state WHERE online;

-- How many nodes and accounts there are, so that nobody has to count them. In parts, so that those who
-- add do not wait for each other; the sum counts.
CREATE TABLE tally (
    what  text    NOT NULL,
    part  integer NOT NULL,
    count bigint  NOT NULL,
    PRIMARY KEY (what, part)
) WITH (fillfactor = 50);

INSERT INTO tally SELECT what, part, 0 FROM unnest(ARRAY['nodes', 'users']) what, generate_series(0, 15) part;
UPDATE tally SET count = (SELECT count(*) FROM node WHERE public_key IS NOT NULL) WHERE what = 'nodes' AND part = 0;
UPDATE tally SET count = (SELECT count(*) FROM account WHERE deleted_at IS NULL) WHERE what = 'users' AND part = 0;

CREATE FUNCTION add_to_tally() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change integer := 0;
BEGIN
    IF TG_TABLE_NAME = 'node' THEN
        change := (TG_OP <> 'DELETE' AND NEW.public_key IS NOT NULL)::integer
                - (TG_OP <> 'INSERT' AND OLD.public_key IS NOT NULL)::integer;
    ELSE
        change := (TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL)::integer
                - (TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL)::integer;
    END IF;
    IF change <> 0 THEN
        UPDATE tally SET count = count + change WHERE what = TG_ARGV[0] AND part = pg_backend_pid() % 16;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tally AFTER INSERT OR DELETE OR UPDATE OF public_key ON node
FOR EACH ROW EXECUTE FUNCTION add_to_tally('nodes');
CREATE TRIGGER tally AFTER INSERT OR DELETE OR UPDATE OF deleted_at ON account
FOR EACH ROW EXECUTE FUNCTION add_to_tally('users');

-- Which batches of each worker were applied: as ranges, so that one that comes late is told from one that
-- comes twice. confirmed_s is the sum over all nodes.
ALTER TABLE ingest_writer
    ADD COLUMN applied   int8multirange NOT NULL DEFAULT '{}',
    ADD COLUMN last_at   timestamptz    NOT NULL DEFAULT now();
UPDATE ingest_writer SET applied = int8multirange(int8range(1, sequence + 1)) WHERE sequence > 0;
ALTER TABLE ingest_writer DROP COLUMN sequence;

ALTER TABLE ingest_cursor DROP COLUMN last_id, ADD COLUMN confirmed_s bigint NOT NULL DEFAULT 0;
UPDATE ingest_cursor SET confirmed_s = (SELECT coalesce(sum(confirmed_s), 0) FROM node_state);
