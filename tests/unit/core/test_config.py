from pathlib import Path

import pytest

from core.config import Config, Setting, load, settings
from core.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "pulseboard.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def refusal(path: Path | None = None, environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as refused:
        load(path, environ or {}, {name.replace("__", "."): value for name, value in flags.items()})
    return str(refused.value)


def test_nothing_configured_is_the_defaults() -> None:
    assert load(environ={}) == Config()


def test_each_source_goes_over_the_one_before(write) -> None:
    path = write('[http]\nport = 1\nhost = "file"\npublic_url = "http://file"\n')
    environ = {"PULSEBOARD_HTTP_PORT": "2", "PULSEBOARD_HTTP_HOST": "environment"}
    config = load(path, environ, {"http.port": 3, "http.host": None})
    assert (config.http.port, config.http.host, config.http.public_url) == (3, "environment", "http://file")
    assert config.ws == Config().ws


def test_the_environment_may_name_the_file(write) -> None:
    path = write("[ws]\nworkers = 5\n")
    assert load(environ={"PULSEBOARD_CONFIG": str(path)}).ws.workers == 5


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PULSEBOARD_WS_WORKERS", "7", lambda c: c.ws.workers == 7),
        ("PULSEBOARD_WS_PING_INTERVAL", "12.5", lambda c: c.ws.ping_interval == 12.5),
        ("PULSEBOARD_WS_ALLOWED_ORIGINS", "http://a, http://b,", lambda c: len(c.ws.allowed_origins) == 2),
        ("PULSEBOARD_EARNINGS_HOLDBACK", "7:1,30:2", lambda c: c.earnings.holdback == ["7:1", "30:2"]),
        ("PULSEBOARD_LOG_LEVEL", "debug", lambda c: c.log.level == "debug"),
        ("PULSEBOARD_REDIS_URL", "redis://h:1/0", lambda c: c.redis.url == "redis://h:1/0"),
        ("PULSEBOARD_DATA", "/srv/pulse", lambda c: c.data_dir == Path("/srv/pulse")),
    ],
)
def test_the_environment_speaks_in_text(name: str, text: str, value) -> None:
    assert value(load(environ={name: text}))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[http]\nprot = 1\n", ["prot", "unknown"]),
        ("[nothing]\n", ["nothing", "unknown"]),
        ('[http]\nport = "1"\n', ["http.port", "int"]),
        ("[http]\nport = 70000\n", ["http.port", "65535"]),
        ("[ws]\nworkers = 0\n", ["ws.workers", ">= 1"]),
        ('[log]\nlevel = "loud"\n', ["log.level", "loud"]),
        ('[redis]\nprefix = "a b"\n', ["redis.prefix"]),
        ("http = 1\n", ["http", "object"]),
        ("[http\n", ["not TOML"]),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_reason(write, text: str, parts: list[str]) -> None:
    path = write(text)
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    for part in parts:
        assert part in message


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "not TOML" in refusal(tmp_path / "binary.toml")


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({"PULSEBOARD_HTTP_PROT": "1"}, ["PULSEBOARD_HTTP_PROT", "no such setting"]),
        ({"PULSEBOARD_HTTP_PORT": "eighty"}, ["PULSEBOARD_HTTP_PORT", "int"]),
        ({"PULSEBOARD_HTTP_PORT": "70000"}, ["PULSEBOARD_HTTP_PORT", "65535"]),
        ({"PULSEBOARD_LOG_FORMAT": "xml"}, ["environment", "log.format", "xml"]),
    ],
)
def test_a_wrong_environment_is_refused_with_its_name_and_reason(
    environ: dict[str, str], parts: list[str]
) -> None:
    message = refusal(environ=environ)
    for part in parts:
        assert part in message


def test_a_wrong_flag_is_refused() -> None:
    message = refusal(http__port=-1)
    assert message.startswith("flags: http.port:")


def test_other_peoples_variables_are_left_alone() -> None:
    assert load(environ={"HOME": "/", "PULSEBOARDING": "1", "PULSEBOARD_PASSWORD": "x"}) == Config()


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"ws.pong_timeout": 30.0, "ws.ping_interval": 20.0}, "ws.pong_timeout"),
        ({"auth.secret": "short"}, "auth.secret"),
        ({"auth.secret": "x" * 32, "auth.secret_file": "/x"}, "auth.secret_file"),
        ({"auth.former_secrets": ["x" * 32 + "," + "y" * 32]}, "auth.former_secrets"),
        ({"auth.access_ttl": 60, "ws.expiry_notice": 60.0}, "ws.expiry_notice"),
        ({"ws.port": 8080, "http.port": 8080}, "ws.port"),
        ({"earnings.epoch_seconds": 61}, "earnings.epoch_seconds"),
        ({"earnings.epoch_seconds": 5 * 3600}, "earnings.epoch_seconds"),
        ({"earnings.epoch_seconds": 5400}, "earnings.epoch_seconds"),
        ({"earnings.holdback": ["30"]}, "earnings.holdback"),
        ({"earnings.holdback": ["0:5000"]}, "earnings.holdback"),
        ({"earnings.holdback": ["30:10001"]}, "earnings.holdback"),
        ({"earnings.holdback": ["30:1", "030:2"]}, "earnings.holdback"),
        ({"referrals.shares": [1, 2, 10_001]}, "referrals.shares"),
        ({"referrals.tiers": ["0:1"]}, "referrals.tiers"),
        ({"referrals.tiers": ["1:100001"]}, "referrals.tiers"),
        ({"referrals.tiers": ["1"]}, "referrals.tiers"),
        ({"referrals.tiers": ["1:1", "01:2"]}, "referrals.tiers"),
        ({"database.dsn": "mysql://x"}, "database.dsn"),
        ({"redis.url": "http://x"}, "redis.url"),
        ({"http.public_url": "pulse.example.com"}, "http.public_url"),
        ({"ws.public_url": "https://pulse.example.com"}, "ws.public_url"),
        ({"http.trusted_proxies": ["10.0.0.0/8", "10.0.0.1/8"]}, "http.trusted_proxies"),
        ({"http.trusted_proxies": ["proxy.example.com"]}, "http.trusted_proxies"),
        ({"http.allowed_origins": ["*"]}, "http.allowed_origins"),
        ({"http.allowed_origins": ["stats.example.com"]}, "http.allowed_origins"),
        ({"http.allowed_origins": ["https://x.example/path"]}, "http.allowed_origins"),
        ({"ws.allowed_origins": ["https://*.example"]}, "ws.allowed_origins"),
    ],
)
def test_values_that_cannot_go_together_are_refused(flags: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError, match=f"^configuration: {key}: "):
        load(environ={}, flags=flags)


def test_a_secret_is_never_repeated_in_the_refusal() -> None:
    assert "hunter2" not in refusal(auth__secret="hunter2")


def test_the_data_folder_follows_the_desktop_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Config().data_dir == tmp_path / "pulseboard"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Config().data_dir == tmp_path / ".local" / "share" / "pulseboard"
    assert Config(data="~/x").data_dir == tmp_path / "x"


def test_every_setting_has_a_meaning_a_name_and_the_default_in_force() -> None:
    every = list(settings())
    assert len({setting.env for setting in every}) == len(every)
    for setting in every:
        assert setting.description.endswith("."), setting
        section = getattr(Config(), setting.section) if setting.section else Config()
        assert getattr(section, setting.key) == setting.default


def test_every_default_is_one_that_would_be_accepted() -> None:
    for setting in settings():
        name = f"{setting.section}.{setting.key}".lstrip(".")
        load(environ={}, flags={name: setting.default})


def test_variables_are_named_after_section_and_key() -> None:
    assert Setting("ws", "max_queue", int, 1, "").env == "PULSEBOARD_WS_MAX_QUEUE"
    assert Setting("", "data", str, "", "").env == "PULSEBOARD_DATA"


@pytest.mark.parametrize("seconds", [60, 900, 1800, 3600, 4 * 3600, 86400])
def test_epochs_divide_hours_and_days(seconds: int) -> None:
    assert load(flags={"earnings.epoch_seconds": seconds}).earnings.epoch_seconds == seconds
