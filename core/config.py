"""The configuration: one typed object, and the only place that says what can be set.

Values come, each over the one before, from the defaults below, a TOML file, the environment
(``PULSEBOARD_<SECTION>_<KEY>``; ``PULSEBOARD_DATA`` for the one key outside the sections) and
command-line flags. Everything is checked: an unknown key, a wrong type or an impossible value is
refused with its source, key and reason. The reference page is generated from this module.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from core.errors import ConfigError

ENV_PREFIX = "PULSEBOARD_"
# Set by other parts of the product or its tools, not configuration.
ENV_RESERVED = frozenset({"PULSEBOARD_CONFIG", "PULSEBOARD_FORCE_BUILD", "PULSEBOARD_PASSWORD"})

Port = Annotated[int, Meta(ge=0, le=65535)]


class Database(Struct, forbid_unknown_fields=True, kw_only=True):
    """PostgreSQL, the durable store."""

    dsn: Annotated[
        str,
        Meta(
            description="Address, `postgresql://user:password@host:port/database`. Empty: `pulseboard up` starts an embedded server."
        ),
    ] = ""
    pool_size: Annotated[int, Meta(description="Connections a process opens at most.", ge=1, le=1000)] = 8
    connect_timeout: Annotated[float, Meta(description="Seconds to wait for a connection.", gt=0, le=300)] = (
        10.0
    )
    statement_timeout: Annotated[float, Meta(description="Seconds a statement may take.", gt=0, le=3600)] = (
        30.0
    )


class Redis(Struct, forbid_unknown_fields=True, kw_only=True):
    """Redis or Valkey: the streams between processes, and who is connected where."""

    url: Annotated[
        str,
        Meta(
            description="Address, `redis://[:password@]host:port/number` or `unix:///path`. Empty: `pulseboard up` starts an embedded server."
        ),
    ] = ""
    prefix: Annotated[
        str,
        Meta(
            description="Put before every key, so that several systems can share a server.",
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9_-]+\Z",
        ),
    ] = "pulseboard"
    stream_length: Annotated[
        int, Meta(description="Entries a broadcast stream keeps.", ge=100, le=10_000_000)
    ] = 10_000
    timeout: Annotated[float, Meta(description="Seconds a command may take.", gt=0, le=300)] = 5.0


class Http(Struct, forbid_unknown_fields=True, kw_only=True):
    """The HTTP API and the page."""

    host: Annotated[str, Meta(description="Address to listen on.", min_length=1)] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port to listen on; 0 picks a free one.")] = 8080
    public_url: Annotated[
        str, Meta(description="Where people reach the page, `https://…`. Empty: the address listened on.")
    ] = ""
    max_body: Annotated[
        int, Meta(description="Bytes a request body may have.", ge=1024, le=64 * 1024 * 1024)
    ] = 64 * 1024
    request_timeout: Annotated[
        float, Meta(description="Seconds a request may take, body included.", gt=0, le=3600)
    ] = 30.0
    allowed_origins: Annotated[
        list[str], Meta(description="Origins of other sites whose pages may call the API (CORS).")
    ] = field(default_factory=list)
    trusted_proxies: Annotated[
        list[str],
        Meta(
            description="Networks (CIDR) of load balancers whose X-Forwarded-For is believed, here and by the workers."
        ),
    ] = field(default_factory=list)
    rate: Annotated[
        float,
        Meta(
            description="Requests a second that a caller may send over time; 0 sets no limit.", ge=0, le=1e6
        ),
    ] = 20.0
    burst: Annotated[
        int, Meta(description="Requests that a caller may send at once.", ge=1, le=1_000_000)
    ] = 200


class Ws(Struct, forbid_unknown_fields=True, kw_only=True):
    """The WebSocket workers."""

    host: Annotated[str, Meta(description="Address to listen on.", min_length=1)] = "127.0.0.1"
    port: Annotated[
        Port, Meta(description="Port that all workers share; 0 picks a free one (a single worker only).")
    ] = 8081
    workers: Annotated[
        int, Meta(description="Worker processes that `pulseboard up` starts.", ge=1, le=512)
    ] = 2
    public_url: Annotated[
        str,
        Meta(
            description="Where clients reach the workers, `wss://…/ws`. Empty: derived from the page's host and this port."
        ),
    ] = ""
    allowed_origins: Annotated[
        list[str], Meta(description="Origins whose pages may connect. Empty: the page's own.")
    ] = field(default_factory=list)
    backlog: Annotated[
        int, Meta(description="Connections the kernel queues for a worker.", ge=1, le=65535)
    ] = 4096
    max_connections: Annotated[
        int,
        Meta(description="Connections a worker accepts at most; more are answered 503.", ge=1, le=4_000_000),
    ] = 1_000_000
    max_message: Annotated[
        int, Meta(description="Bytes a client's message may have.", ge=1024, le=16 * 1024 * 1024)
    ] = 64 * 1024
    max_queue: Annotated[
        int,
        Meta(
            description="Bytes that may wait for one slow reader; above it is closed with 4008.",
            ge=4096,
            le=1 << 30,
        ),
    ] = 256 * 1024
    compress_above: Annotated[
        int,
        Meta(
            description="Bytes above which a message is compressed for clients that agreed to it; "
            "-1 compresses nothing.",
            ge=-1,
            le=16 * 1024 * 1024,
        ),
    ] = 512
    max_subscriptions: Annotated[
        int, Meta(description="Channels one connection may join.", ge=1, le=1024)
    ] = 32
    message_rate: Annotated[
        int,
        Meta(
            description="Messages, fragments and control frames a second that a client may send over time; "
            "above it is closed with 4506. 0 sets no limit.",
            ge=0,
            le=1_000_000,
        ),
    ] = 50
    message_burst: Annotated[
        int,
        Meta(description="Messages, fragments and control frames that may come at once.", ge=1, le=1_000_000),
    ] = 200
    handshake_timeout: Annotated[
        float, Meta(description="Seconds for the HTTP upgrade request.", gt=0, le=300)
    ] = 5.0
    auth_timeout: Annotated[
        float, Meta(description="Seconds until the first `auth` message, else 4502.", gt=0, le=300)
    ] = 5.0
    ping_interval: Annotated[float, Meta(description="Seconds of silence before a ping.", gt=0, le=3600)] = (
        25.0
    )
    pong_timeout: Annotated[
        float,
        Meta(description="Seconds to wait for any sign of life after a ping, else 4012.", gt=0, le=3600),
    ] = 10.0
    close_timeout: Annotated[
        float, Meta(description="Seconds to wait for the peer's close frame.", gt=0, le=300)
    ] = 3.0
    expiry_notice: Annotated[
        float, Meta(description="Seconds before a token ends that `token_expiring` is sent.", ge=0, le=3600)
    ] = 60.0
    drain_timeout: Annotated[
        float, Meta(description="Seconds a draining worker waits for its clients to leave.", ge=0, le=3600)
    ] = 10.0


class Auth(Struct, forbid_unknown_fields=True, kw_only=True):
    """Passwords and tokens."""

    secret: Annotated[
        str,
        Meta(
            description="Key that signs tokens, at least 32 characters. Empty: `pulseboard up` makes one and keeps it with the data."
        ),
    ] = ""
    secret_file: Annotated[str, Meta(description="File that holds the key, instead of `secret`.")] = ""
    former_secrets: Annotated[
        list[str],
        Meta(description="Keys that signed before: their tokens stay good, what they sealed stays readable."),
    ] = field(default_factory=list)
    former_secret_files: Annotated[
        list[str], Meta(description="Files that hold former keys, next to `former_secrets`.")
    ] = field(default_factory=list)
    access_ttl: Annotated[int, Meta(description="Seconds an access token lives.", ge=30, le=600)] = 600
    refresh_ttl: Annotated[
        int, Meta(description="Seconds a sign-in lives without use.", ge=60, le=366 * 86400)
    ] = 30 * 86400
    enrol_ttl: Annotated[int, Meta(description="Seconds an enrolment token lives.", ge=60, le=86400)] = 3600
    argon2_memory: Annotated[
        int,
        Meta(
            description="KiB of memory of a password hash (OWASP: at least 19456).", ge=8, le=4 * 1024 * 1024
        ),
    ] = 19_456
    argon2_time: Annotated[
        int, Meta(description="Passes of a password hash (OWASP: at least 2).", ge=1, le=100)
    ] = 2
    argon2_threads: Annotated[
        int, Meta(description="Password hashes computed at the same time.", ge=1, le=64)
    ] = 2
    audit_days: Annotated[int, Meta(description="Days that security events are kept.", ge=1, le=3660)] = 400


class MailSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """Mail to people. Without an SMTP host mails land in the folder `mail` of the data folder."""

    smtp_host: Annotated[str, Meta(description="SMTP server. Empty: mails are written to files.")] = ""
    smtp_port: Annotated[Port, Meta(description="Its port.")] = 587
    smtp_tls: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="How the connection is protected: upgraded, from the start, or not at all."),
    ] = "starttls"
    smtp_user: Annotated[str, Meta(description="Name to sign in with. Empty: no sign-in.")] = ""
    smtp_password: Annotated[str, Meta(description="Password to sign in with.")] = ""
    smtp_password_file: Annotated[
        str, Meta(description="File that holds the password, instead of `smtp_password`.")
    ] = ""
    sender: Annotated[str, Meta(description="Address that mails come from.", min_length=3)] = (
        "Pulseboard <pulseboard@localhost>"
    )
    timeout: Annotated[float, Meta(description="Seconds an SMTP command may take.", gt=0, le=300)] = 20.0
    link_ttl: Annotated[
        int, Meta(description="Seconds a link that confirms an address serves.", ge=60, le=30 * 86400)
    ] = 86_400
    reset_ttl: Annotated[
        int, Meta(description="Seconds a link that resets a password serves.", ge=60, le=86400)
    ] = 3600


class Network(Struct, forbid_unknown_fields=True, kw_only=True):
    """How nodes are measured."""

    beat_interval: Annotated[
        float, Meta(description="Seconds between the beats of the agent.", gt=0, le=3600)
    ] = 10.0
    challenge_interval: Annotated[
        float,
        Meta(
            description="Mean seconds between two challenges of a node; each is drawn from half to one and a half of it.",
            gt=0,
            le=3600,
        ),
    ] = 20.0
    challenge_timeout: Annotated[
        float, Meta(description="Seconds a node has to answer a challenge.", gt=0, le=300)
    ] = 10.0
    flush_interval: Annotated[
        float, Meta(description="Seconds a worker gathers observations before it hands them on.", gt=0, le=60)
    ] = 0.2
    report_interval: Annotated[
        float,
        Meta(
            description="Seconds between two reports of a connected node's sums; 60 for a million nodes.",
            gt=0,
            le=300,
        ),
    ] = 2.0
    max_rate: Annotated[
        int,
        Meta(
            description="Bits per second that a node can move in one direction; beats that tell of more are refused.",
            ge=1000,
            le=10**15,
        ),
    ] = 10_000_000_000
    flush_backlog: Annotated[
        int,
        Meta(
            description="Observations a worker keeps while Redis is away; the oldest are dropped beyond.",
            ge=1000,
            le=10_000_000,
        ),
    ] = 200_000
    ingest_backlog: Annotated[
        int,
        Meta(
            description="Batches of observations, up to 1000 each, that Redis keeps while the database is away; the oldest are dropped beyond.",
            ge=100,
            le=10_000_000,
        ),
    ] = 50_000
    resume_window: Annotated[
        float,
        Meta(
            description="Seconds within which a node that comes back continues its session, and loses nothing if the end was our doing.",
            ge=0,
            le=3600,
        ),
    ] = 60.0
    summary_interval: Annotated[
        float, Meta(description="Seconds between two values of channel `network`.", gt=0, le=60)
    ] = 1.0
    score_interval: Annotated[
        float, Meta(description="Seconds between two computations of all scores.", gt=0, le=86400)
    ] = 300.0
    rules_interval: Annotated[
        float, Meta(description="Seconds between two looks for abuse.", gt=0, le=86400)
    ] = 60.0
    places_file: Annotated[
        str,
        Meta(
            description="MaxMind DB file that tells the country, and the city, of an address. Empty: unknown."
        ),
    ] = ""
    asn_file: Annotated[
        str,
        Meta(description="MaxMind DB file that tells the autonomous system of an address. Empty: unknown."),
    ] = ""
    hour_days: Annotated[
        int, Meta(description="Days that a node's hours and minutes are kept.", ge=2, le=3660)
    ] = 35
    day_days: Annotated[int, Meta(description="Days that a node's days are kept.", ge=35, le=36600)] = 1100
    session_days: Annotated[
        int, Meta(description="Days that a node's ended sessions are kept.", ge=1, le=3660)
    ] = 90


class Earnings(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is paid for what. A point is a million micro-points; shares are in 10,000ths."""

    epoch_seconds: Annotated[
        int,
        Meta(
            description="Seconds of an epoch, after each of which is paid; they divide an hour, or are hours that divide a day.",
            ge=60,
            le=86400,
        ),
    ] = 3600
    availability_pool: Annotated[
        int,
        Meta(
            description="Micro-points an hour, shared out by confirmed seconds times score.", ge=0, le=10**15
        ),
    ] = 700_000_000
    usage_pool: Annotated[
        int, Meta(description="Micro-points an hour, shared out by bytes moved.", ge=0, le=10**15)
    ] = 300_000_000
    bonus_pool: Annotated[
        int,
        Meta(
            description="Micro-points an hour that bonuses may come to; beyond, all are cut alike.",
            ge=0,
            le=10**15,
        ),
    ] = 100_000_000
    referral_pool: Annotated[
        int,
        Meta(
            description="Micro-points an hour that referrals may come to; beyond, all are cut alike.",
            ge=0,
            le=10**15,
        ),
    ] = 200_000_000
    unmeasured_score: Annotated[
        int, Meta(description="The score that a node without a measured one is paid by.", ge=0, le=10_000)
    ] = 5000
    hold_seconds: Annotated[
        int,
        Meta(
            description="Seconds after an epoch in which what it paid is pending and may be corrected.",
            ge=0,
            le=366 * 86400,
        ),
    ] = 7 * 86400
    inputs_days: Annotated[
        int,
        Meta(
            description="Days that what nodes were measured with in an epoch is kept; after that only what each earned a day.",
            ge=1,
            le=3660,
        ),
    ] = 35
    holdback: Annotated[
        list[str],
        Meta(
            description="`days:share`: until a node is that old, the share of what it earns is held back. Of several the least number of days that it has not reached counts."
        ),
    ] = field(default_factory=lambda: ["30:5000", "90:2500"])
    streak_days: Annotated[
        int,
        Meta(description="Days in a row after each of which a node gets a bonus; 0: none.", ge=0, le=366),
    ] = 7
    streak_least_seconds: Annotated[
        int, Meta(description="Confirmed seconds that a day of them has at least.", ge=1, le=86400)
    ] = 72_000
    streak_amount: Annotated[
        int, Meta(description="Micro-points of that bonus; 0: none.", ge=0, le=10**15)
    ] = 5_000_000
    first_hours: Annotated[
        int,
        Meta(
            description="Confirmed hours of a person that earn more than later ones; 0: none.",
            ge=0,
            le=100_000,
        ),
    ] = 100
    first_hours_share: Annotated[int, Meta(description="How much more.", ge=0, le=1_000_000)] = 5000
    minimum_payout: Annotated[
        int, Meta(description="Micro-points that become claimable at least.", ge=0, le=10**15)
    ] = 1_000_000


class Referrals(Struct, forbid_unknown_fields=True, kw_only=True):
    """What whoever brings people gets. Shares are in 10,000ths."""

    shares: Annotated[
        list[int],
        Meta(
            description="Of what work earns those who were brought: the shares of the one who brought them, of who brought that one, and of the next above.",
            min_length=3,
            max_length=3,
        ),
    ] = field(default_factory=lambda: [2000, 1000, 500])
    active_hours: Annotated[
        int, Meta(description="Confirmed hours from which on somebody counts.", ge=0, le=100_000)
    ] = 100
    tiers: Annotated[
        list[str],
        Meta(
            description="`people:multiplier`: with so many active people brought the shares are multiplied by 10,000ths of this."
        ),
    ] = field(default_factory=lambda: ["5:11000", "25:12500", "100:15000"])
    burst_people: Annotated[
        int,
        Meta(description="So many brought by one person within `burst_seconds` are held for review.", ge=2),
    ] = 20
    burst_seconds: Annotated[int, Meta(description="See `burst_people`.", ge=1, le=31 * 86400)] = 3600
    traces_days: Annotated[
        int,
        Meta(
            description="Days that addresses and browsers of people are kept, to tell who brings themselves.",
            ge=1,
            le=3660,
        ),
    ] = 90


class Admin(Struct, forbid_unknown_fields=True, kw_only=True):
    """Health and metrics of worker and jobs processes."""

    host: Annotated[str, Meta(description="Address to listen on.", min_length=1)] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port; 0 picks a free one, which is logged and announced.")] = 0
    lease: Annotated[
        float, Meta(description="Seconds after which a silent process counts as dead.", ge=0.5, le=300)
    ] = 3.0


class Log(Struct, forbid_unknown_fields=True, kw_only=True):
    """Logs, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least level that is written.")
    ] = "info"
    format: Annotated[
        Literal["json", "text"], Meta(description="`json`: one object a line; `text`: for reading.")
    ] = "json"


class Config(Struct, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set."""

    data: Annotated[
        str,
        Meta(description="Folder for embedded servers, keys and logs. Empty: `~/.local/share/pulseboard`."),
    ] = ""
    database: Database = field(default_factory=Database)
    redis: Redis = field(default_factory=Redis)
    http: Http = field(default_factory=Http)
    ws: Ws = field(default_factory=Ws)
    auth: Auth = field(default_factory=Auth)
    mail: MailSettings = field(default_factory=MailSettings)
    network: Network = field(default_factory=Network)
    earnings: Earnings = field(default_factory=Earnings)
    referrals: Referrals = field(default_factory=Referrals)
    admin: Admin = field(default_factory=Admin)
    log: Log = field(default_factory=Log)

    @property
    def data_dir(self) -> Path:
        """The data folder, absolute."""
        if self.data:
            return Path(self.data).expanduser().absolute()
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return Path(base).absolute() / "pulseboard"

    @property
    def mail_dir(self) -> Path:
        """Where mails land without an SMTP server."""
        return self.data_dir / "mail"


class Setting(Struct, frozen=True):
    """One key, for the reference page: its section ("" at the top), type, default and meaning."""

    section: str
    key: str
    kind: Any
    default: Any
    description: str

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return f"{ENV_PREFIX}{f'{self.section}_' if self.section else ''}{self.key}".upper()


def settings() -> Iterator[Setting]:
    """Every setting there is, in the order of definition."""
    default = Config()
    for name, hint in get_type_hints(Config, include_extras=True).items():
        if isinstance(hint, type) and issubclass(hint, Struct):
            for key, inner in get_type_hints(hint, include_extras=True).items():
                yield _setting(name, key, inner, getattr(getattr(default, name), key))
        else:
            yield _setting("", name, hint, getattr(default, name))


def _setting(section: str, key: str, hint: Any, default: Any) -> Setting:
    description = next(
        (m.description for m in getattr(hint, "__metadata__", ()) if isinstance(m, Meta) and m.description),
        "",
    )
    return Setting(section, key, hint, default, description)


def load(
    path: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Build the configuration from all its sources.

    `path` names a TOML file (else ``PULSEBOARD_CONFIG`` does), `environ` is the environment
    (default: the process's), `flags` maps "section.key" to a value; None means "not given".

    Raises:
        ConfigError: naming the source, the key and the reason.
    """
    environ = os.environ if environ is None else environ
    merged: dict[str, Any] = {}
    path = path or environ.get("PULSEBOARD_CONFIG")
    if path:
        document = _read_toml(Path(path))
        _check(document, f"{path}")
        _merge(merged, document)
    for source, layer in (("environment", _from_environ(environ)), ("flags", _from_flags(flags or {}))):
        _check(layer, source)
        _merge(merged, layer)
    config = _check(merged, "configuration")
    _check_together(config)
    return config


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {setting.env: setting for setting in settings()}
    layer: dict[str, Any] = {}
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or name in ENV_RESERVED:
            continue
        setting = known.get(name)
        if setting is None:
            raise ConfigError(f"environment: {name}: no such setting")
        _put(layer, setting, _parse(environ[name], setting, f"environment: {name}"))
    return layer


def _from_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    known = {f"{s.section}.{s.key}".lstrip("."): s for s in settings()}
    layer: dict[str, Any] = {}
    for name, value in flags.items():
        if value is not None:
            _put(layer, known[name], value)
    return layer


def _put(layer: dict[str, Any], setting: Setting, value: Any) -> None:
    target = layer.setdefault(setting.section, {}) if setting.section else layer
    target[setting.key] = value


def _parse(text: str, setting: Setting, where: str) -> Any:
    """Read an environment variable's text as the setting's type; lists are comma-separated."""
    kind = get_args(setting.kind)[0] if get_origin(setting.kind) is Annotated else setting.kind
    if kind is str or get_origin(kind) is Literal:
        return text
    value: Any = text
    if get_origin(kind) is list:
        value = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return msgspec.convert(value, setting.kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


def _merge(base: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict):
            _merge(base.setdefault(key, {}), value)
        else:
            base[key] = value


def _check(layer: Mapping[str, Any], source: str) -> Config:
    try:
        return msgspec.convert(layer, Config)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").lstrip(".")
        raise ConfigError(f"{source}: {key}: {reason}" if key else f"{source}: {reason}") from error


def _check_together(config: Config) -> None:
    ws = config.ws
    if ws.pong_timeout > ws.ping_interval:
        raise ConfigError("configuration: ws.pong_timeout: must not exceed ws.ping_interval")
    if config.auth.secret and config.auth.secret_file:
        raise ConfigError("configuration: auth.secret_file: set either this or auth.secret")
    if config.auth.secret and len(config.auth.secret) < 32:
        raise ConfigError("configuration: auth.secret: must have at least 32 characters")
    if ws.expiry_notice >= config.auth.access_ttl:
        raise ConfigError("configuration: ws.expiry_notice: must be less than auth.access_ttl")
    if any("," in secret for secret in config.auth.former_secrets):
        # A list in the environment is separated by commas.
        raise ConfigError("configuration: auth.former_secrets: a key with a comma must stand in a file")
    if ws.port and ws.port == config.http.port and ws.host == config.http.host:
        raise ConfigError("configuration: ws.port: is the same as http.port")
    _check_earnings(config.earnings)
    _check_referrals(config.referrals)
    _check_networks(config.http.trusted_proxies)
    _check_origins("http.allowed_origins", config.http.allowed_origins)
    _check_origins("ws.allowed_origins", ws.allowed_origins)
    for key, value, schemes in (
        ("database.dsn", config.database.dsn, ("postgresql://", "postgres://")),
        ("redis.url", config.redis.url, ("redis://", "rediss://", "unix://")),
        ("http.public_url", config.http.public_url, ("http://", "https://")),
        ("ws.public_url", ws.public_url, ("ws://", "wss://")),
    ):
        if value and not value.startswith(schemes):
            raise ConfigError(f"configuration: {key}: must begin with {' or '.join(schemes)}")


def _check_earnings(earnings: Earnings) -> None:
    seconds = earnings.epoch_seconds
    if 3600 % seconds and (seconds % 3600 or 86400 % seconds):
        raise ConfigError(
            "configuration: earnings.epoch_seconds: must divide 3600, or be hours that divide a day"
        )
    steps = [_HOLDBACK.match(step) for step in earnings.holdback]
    if not all(step and 0 < int(step[1]) <= 36_600 and int(step[2]) <= 10_000 for step in steps):
        raise ConfigError(
            "configuration: earnings.holdback: must be of the form days:share, 1:0 to 36600:10000"
        )
    if len({int(step[1]) for step in steps if step}) < len(steps):
        raise ConfigError("configuration: earnings.holdback: names a number of days twice")


def _check_referrals(referrals: Referrals) -> None:
    if not all(0 <= share <= 10_000 for share in referrals.shares):
        raise ConfigError("configuration: referrals.shares: must be 0 to 10000 each")
    tiers = [_TIER.match(tier) for tier in referrals.tiers]
    if not all(tier and int(tier[1]) > 0 and int(tier[2]) <= 100_000 for tier in tiers):
        raise ConfigError(
            "configuration: referrals.tiers: must be of the form people:multiplier, 1:0 to 9999999:100000"
        )
    if len({int(tier[1]) for tier in tiers if tier}) < len(tiers):
        raise ConfigError("configuration: referrals.tiers: names a number of people twice")


def _check_networks(networks: list[str]) -> None:
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise ConfigError(f"configuration: http.trusted_proxies: {error}") from error


def _check_origins(key: str, origins: list[str]) -> None:
    for origin in origins:
        if not _ORIGIN.match(origin):
            raise ConfigError(f"configuration: {key}: {origin!r} is no origin, https://host[:port]")


_ORIGIN = re.compile(r"https?://[^/?#@*,\s]+/?\Z", re.IGNORECASE)
_TIER = re.compile(r"([0-9]{1,7}):([0-9]{1,6})\Z")
_HOLDBACK = re.compile(r"([0-9]{1,5}):([0-9]{1,5})\Z")
