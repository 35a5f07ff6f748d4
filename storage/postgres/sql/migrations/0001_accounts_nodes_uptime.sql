-- People, their sign-ins, their nodes and the measured uptime.
--
-- Every table of a user has user_id first in its key, so that all rows of one user live together when
-- the tables are distributed. What must be unique over all users (an address, a key) has a small
-- look-up table of its own, keyed by just that.

CREATE TABLE account (
    user_id       uuid        PRIMARY KEY,
    email         text        NOT NULL,
    display_name  text        NOT NULL,
    password_hash text        NOT NULL,
    role          text        NOT NULL CHECK (role IN ('user', 'support', 'operator')),
    created_at    timestamptz NOT NULL
);

CREATE TABLE account_email (
    email   text PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES account ON DELETE CASCADE
);

CREATE INDEX account_email_of_user ON account_email (user_id);

CREATE TABLE login_session (
    user_id      uuid        NOT NULL REFERENCES account ON DELETE CASCADE,
    session_id   uuid        NOT NULL,
    token_hash   bytea       NOT NULL CHECK (length(token_hash) = 32),
    device       text        NOT NULL,
    address      text        NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (user_id, session_id)
);

-- Every refresh token that a living session ever had; replaced_at is null for the current one.
CREATE TABLE login_token (
    user_id     uuid        NOT NULL,
    session_id  uuid        NOT NULL,
    token_hash  bytea       NOT NULL CHECK (length(token_hash) = 32),
    replaced_at timestamptz,
    PRIMARY KEY (user_id, session_id, token_hash),
    FOREIGN KEY (user_id, session_id) REFERENCES login_session ON DELETE CASCADE
);

CREATE INDEX login_token_by_hash ON login_token (token_hash);

-- A node and its state now. session_id, opened_at and worker belong to its newest connection;
-- confirmed_until is the end of what confirmed_ms has counted; presumed means: offline only because
-- the worker fell silent. Room is left in each page because the state changes all the time.
CREATE TABLE node (
    user_id         uuid        NOT NULL REFERENCES account ON DELETE CASCADE,
    node_id         uuid        NOT NULL,
    public_key      bytea       NOT NULL CHECK (length(public_key) = 32),
    name            text        NOT NULL,
    created_at      timestamptz NOT NULL,
    token_time_ms   bigint      NOT NULL DEFAULT 0,
    online          boolean     NOT NULL DEFAULT false,
    since           timestamptz,
    confirmed_ms    bigint      NOT NULL DEFAULT 0 CHECK (confirmed_ms >= 0),
    confirmed_until timestamptz NOT NULL DEFAULT 'epoch',
    session_id      uuid,
    opened_at       timestamptz NOT NULL DEFAULT 'epoch',
    worker          text        NOT NULL DEFAULT '',
    presumed        boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, node_id)
) WITH (fillfactor = 70);

CREATE INDEX node_by_id ON node (node_id);
CREATE INDEX node_online_by_worker ON node (worker) WHERE online;

CREATE TABLE node_key (
    public_key bytea PRIMARY KEY,
    user_id    uuid  NOT NULL,
    node_id    uuid  NOT NULL,
    FOREIGN KEY (user_id, node_id) REFERENCES node ON DELETE CASCADE
);

CREATE INDEX node_key_of_node ON node_key (user_id, node_id);

-- The connections of a node. A closed one without a code ended with its worker.
CREATE TABLE node_session (
    user_id       uuid        NOT NULL,
    node_id       uuid        NOT NULL,
    session_id    uuid        NOT NULL,
    opened_at     timestamptz NOT NULL,
    closed_at     timestamptz,
    code          integer,
    worker        text        NOT NULL,
    address       text        NOT NULL,
    agent_version text        NOT NULL DEFAULT '',
    PRIMARY KEY (user_id, node_id, session_id),
    FOREIGN KEY (user_id, node_id) REFERENCES node ON DELETE CASCADE
);

CREATE INDEX node_session_open_by_worker ON node_session (worker) WHERE closed_at IS NULL;

CREATE TABLE uptime_hour (
    user_id      uuid        NOT NULL,
    node_id      uuid        NOT NULL,
    hour         timestamptz NOT NULL,
    confirmed_ms bigint      NOT NULL DEFAULT 0 CHECK (confirmed_ms BETWEEN 0 AND 3600000),
    bytes_up     bigint      NOT NULL DEFAULT 0,
    bytes_down   bigint      NOT NULL DEFAULT 0,
    errors       bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, node_id, hour),
    FOREIGN KEY (user_id, node_id) REFERENCES node ON DELETE CASCADE
) WITH (fillfactor = 70);

-- How far the ingest stream has been applied. One row, which also serialises those who apply.
CREATE TABLE ingest_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_id  text    NOT NULL,
    revision bigint  NOT NULL
);

INSERT INTO ingest_cursor (last_id, revision) VALUES ('0-0', 0);

-- The last batch applied of each worker.
CREATE TABLE ingest_writer (
    worker   text   PRIMARY KEY,
    sequence bigint NOT NULL
);
