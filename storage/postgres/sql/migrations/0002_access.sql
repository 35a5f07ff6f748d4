-- What accounts need beyond a password: profile, wallet, second factor, confirmations by mail, the
-- memory of ended sessions, answers to repeated requests, and the audit log.

-- An erased account stays as a pseudonym: nothing but its id and its two times.
ALTER TABLE account
    ADD COLUMN locale     text NOT NULL DEFAULT 'en',
    ADD COLUMN time_zone  text NOT NULL DEFAULT 'UTC',
    ADD COLUMN wallet     text,
    ADD COLUMN deleted_at timestamptz,
    ADD CONSTRAINT account_erased_whole CHECK (
        deleted_at IS NULL
        OR (email = '' AND display_name = '' AND password_hash = '' AND wallet IS NULL)
    );

-- Searching by the beginning of an address, whatever the database's collation.
CREATE INDEX account_email_by_prefix ON account_email (email COLLATE "C");

CREATE TABLE account_wallet (
    wallet  text PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES account ON DELETE CASCADE
);

CREATE INDEX account_wallet_of_user ON account_wallet (user_id);

-- A node without a key is one of an erased account.
ALTER TABLE node ALTER COLUMN public_key DROP NOT NULL;

CREATE INDEX login_session_by_expiry ON login_session (expires_at);

-- Sessions that were ended before their time. No reference to account: its check would lock the account
-- after the session, and whoever erases an account locks them the other way round.
CREATE TABLE ended_session (
    user_id    uuid        NOT NULL,
    session_id uuid        NOT NULL,
    ended_at   timestamptz NOT NULL,
    PRIMARY KEY (user_id, session_id)
);

CREATE INDEX ended_session_by_time ON ended_session (ended_at);

-- A registration belongs to an address, not to a user: there is none yet.
CREATE TABLE registration (
    email         text        PRIMARY KEY,
    token_hash    bytea       NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    display_name  text        NOT NULL,
    password_hash text        NOT NULL,
    locale        text        NOT NULL,
    referral_code text,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL
);

CREATE INDEX registration_by_expiry ON registration (expires_at);

CREATE TABLE password_reset (
    user_id    uuid        PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    token_hash bytea       NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX password_reset_by_expiry ON password_reset (expires_at);

-- A hash becomes null when its token is used.
CREATE TABLE email_change (
    user_id    uuid        PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    new_email  text        NOT NULL,
    old_hash   bytea       UNIQUE CHECK (length(old_hash) = 32),
    new_hash   bytea       UNIQUE CHECK (length(new_hash) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CHECK (old_hash <> new_hash)
);

CREATE INDEX email_change_by_expiry ON email_change (expires_at);

CREATE TABLE mail (
    mail_id    uuid        PRIMARY KEY,
    recipient  text        NOT NULL,
    template   text        NOT NULL,
    body       bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    next_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    attempts   integer     NOT NULL
);

CREATE INDEX mail_by_turn ON mail (next_at, mail_id);

CREATE TABLE second_factor (
    user_id      uuid        PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    secret       bytea       NOT NULL,
    created_at   timestamptz NOT NULL,
    confirmed_at timestamptz,
    last_step    bigint      NOT NULL DEFAULT 0,
    recovery     bytea[]     NOT NULL DEFAULT '{}'
);

-- Status 0: the request is being worked on.
CREATE TABLE idempotent_request (
    user_id     uuid        NOT NULL REFERENCES account ON DELETE CASCADE,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      integer     NOT NULL DEFAULT 0,
    body        bytea       NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);

CREATE INDEX idempotent_request_by_time ON idempotent_request (created_at);

-- Nobody can add to an erased account: its row is still there for references to find. Whoever erases
-- locks the row FOR UPDATE, so that this waits for them and they wait for this.
CREATE FUNCTION require_living_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM account WHERE user_id = NEW.user_id AND deleted_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = 'the account is unknown or erased';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER living BEFORE INSERT ON login_session FOR EACH ROW EXECUTE FUNCTION require_living_account();
CREATE TRIGGER living BEFORE INSERT ON node FOR EACH ROW EXECUTE FUNCTION require_living_account();
CREATE TRIGGER living BEFORE INSERT ON password_reset FOR EACH ROW EXECUTE FUNCTION require_living_account();
CREATE TRIGGER living BEFORE INSERT ON email_change FOR EACH ROW EXECUTE FUNCTION require_living_account();
CREATE TRIGGER living BEFORE INSERT ON second_factor FOR EACH ROW EXECUTE FUNCTION require_living_account();
CREATE TRIGGER living BEFORE INSERT ON idempotent_request FOR EACH ROW EXECUTE FUNCTION require_living_account();

-- The living accounts as the product sees them.
CREATE VIEW person AS
SELECT a.user_id, a.email, a.display_name, a.password_hash, a.role, a.locale, a.time_zone, a.wallet,
       f.confirmed_at IS NOT NULL AS second_factor, a.created_at
FROM account a LEFT JOIN second_factor f USING (user_id)
WHERE a.deleted_at IS NULL;

-- What happened stays written. No references: an event outlives whom it concerns.
CREATE TABLE audit_event (
    event_id   uuid        PRIMARY KEY,
    at         timestamptz NOT NULL,
    kind       text        COLLATE "C" NOT NULL,
    user_id    uuid,
    actor_id   uuid,
    address    text        NOT NULL,
    request_id text        NOT NULL,
    facts      jsonb       NOT NULL
);

CREATE INDEX audit_event_of_user ON audit_event (user_id, event_id);
CREATE INDEX audit_event_by_kind ON audit_event (kind, event_id);
CREATE INDEX audit_event_by_time ON audit_event (at);

CREATE FUNCTION keep_audit_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('pulseboard.prune_audit', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'audit_event is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_events();

-- The only way to remove events; returns how many were older than that.
CREATE FUNCTION prune_audit_events(before timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    removed bigint;
BEGIN
    PERFORM set_config('pulseboard.prune_audit', 'on', true);
    DELETE FROM audit_event WHERE at < before;
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM set_config('pulseboard.prune_audit', 'off', true);
    RETURN removed;
END
$$;
