"""The command line: one line and a code for every error."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from core import cli

ROOT = Path(cli.__file__).parent.parent


@pytest.fixture
def run(capsys, monkeypatch):
    """Calls the command line as a shell would, with nothing but the given variables set."""
    for name in [name for name in os.environ if name.startswith("PULSEBOARD_")]:
        monkeypatch.delenv(name)

    def call(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    handlers, level = logging.root.handlers[:], logging.root.level
    yield call
    # What a command logged went to a stream that ends with the test.
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "variables", "code", "message"),
        [
            (["dance"], {}, 2, "No such command 'dance'"),
            (["worker", "--port", "many"], {}, 2, "'many' is not a valid integer"),
            (["worker", "--port", "65536"], {}, 2, "65536"),
            (["up", "--demo", "-1"], {}, 2, "-1"),
            (["agent"], {}, 2, "Missing option '--server'"),
            (["agent", "--server", "http://h", "--enrol", "t", "--email", "e"], {}, 2, "either"),
            (["agent", "--server", "somewhere"], {}, 78, "somewhere: must be http"),
            (["--config", "/nonexistent.toml", "check-config"], {}, 78, "/nonexistent.toml: cannot be read"),
            (["check-config"], {"PULSEBOARD_HTTP_PORT": "x"}, 78, "PULSEBOARD_HTTP_PORT"),
            (["check-config"], {"PULSEBOARD_NONSENSE": "1"}, 78, "PULSEBOARD_NONSENSE: no such setting"),
            (["worker"], {}, 78, "database.dsn: is required"),
            (["api"], {}, 78, "database.dsn: is required"),
            (["jobs"], {}, 78, "database.dsn: is required"),
            (["migrate"], {}, 78, "database.dsn: is required"),
            (["ledger", "check"], {"PULSEBOARD_DATA": "/nonexistent"}, 78, "database.dsn: is required"),
            (
                ["migrate"],
                {"PULSEBOARD_DATABASE_DSN": "postgresql://u:secret@127.0.0.1:1/x"},
                1,
                "127.0.0.1:1",
            ),
        ],
    )
    def test_an_error_is_one_line_and_a_code(self, run, *, arguments, variables, code, message):
        got, out, err = run(*arguments, **variables)
        assert got == code
        assert out == ""
        assert re.fullmatch(r"pulseboard: error: [^\n]+\n", err)
        assert message in err
        assert "secret" not in err

    def test_a_traceback_comes_with_debug_only(self, run):
        _, _, err = run("--debug", "worker")
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("pulseboard: error: ")

    def test_what_nobody_foresaw_is_one_line_too(self, run, monkeypatch):
        def broken():
            raise ZeroDivisionError("first\nsecond")

        monkeypatch.setattr(cli, "release", broken)
        code, _, err = run("version")
        assert code == 1
        assert (
            err == "pulseboard: error: unexpected ZeroDivisionError: first | second (--debug shows where)\n"
        )

    def test_an_error_within_groups_is_found(self, run, monkeypatch):
        def broken():
            raise ExceptionGroup("", [ExceptionGroup("", [cli.ConfigError("wrong")])])

        monkeypatch.setattr(cli, "release", broken)
        assert run("version") == (78, "", "pulseboard: error: wrong\n")

    def test_ctrl_c_is_code_130(self, run, monkeypatch):
        def interrupted():
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "release", interrupted)
        code, _, err = run("version")
        assert code == 130
        # The first line ends the one on which the terminal shows ^C.
        assert err == "\npulseboard: error: interrupted\n"

    def test_a_child_whose_supervisor_is_gone_does_not_start(self):
        command = [sys.executable, "-m", "core.cli", "worker", "--parent", "1"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "pulseboard: error: the supervisor is gone\n")


class TestHelp:
    def test_without_a_command_the_help_is_shown(self, run):
        code, _, err = run()
        assert code == 2
        assert err.startswith("Usage: pulseboard")

    @pytest.mark.parametrize(
        "command",
        [
            "up",
            "worker",
            "api",
            "jobs",
            "agent",
            "migrate",
            "ledger",
            "ledger check",
            "check-config",
            "version",
        ],
    )
    def test_every_command_explains_itself_and_hides_what_is_internal(self, run, command):
        code, out, _ = run(*command.split(), "--help")
        assert code == 0
        assert out.startswith(f"Usage: pulseboard {command}")
        assert "--parent" not in out


class TestCheckConfig:
    def test_it_shows_what_is_in_effect(self, run, tmp_path):
        path = tmp_path / "p.toml"
        path.write_text('[ws]\nworkers = 7\nallowed_origins = ["https://a.example", "https://b.example"]\n')
        code, out, _ = run("--config", str(path), "check-config", PULSEBOARD_HTTP_PORT="1234")
        assert code == 0
        assert "workers = 7\n" in out
        assert "port = 1234\n" in out
        assert 'allowed_origins = ["https://a.example", "https://b.example"]\n' in out

    def test_it_can_be_read_as_toml(self, run):
        import tomllib

        _, out, _ = run("check-config")
        assert tomllib.loads(out)["http"]["port"] == 8080

    @pytest.mark.parametrize(
        ("variable", "value", "shown"),
        [
            ("PULSEBOARD_AUTH_SECRET", "topsecret" * 5, 'secret = "***"'),
            (
                "PULSEBOARD_AUTH_FORMER_SECRETS",
                f"{'topsecret' * 5},{'topsecret' * 6}",
                'former_secrets = ["***", "***"]',
            ),
            ("PULSEBOARD_MAIL_SMTP_PASSWORD", "topsecret", 'smtp_password = "***"'),
            (
                "PULSEBOARD_DATABASE_DSN",
                "postgresql://me:topsecret@db.example:5432/pb?x=topsecret",
                'dsn = "postgresql://***@db.example:5432/pb"',
            ),
            ("PULSEBOARD_DATABASE_DSN", "postgresql://db.example/pb", 'dsn = "postgresql://db.example/pb"'),
            ("PULSEBOARD_DATABASE_DSN", "postgresql://me:top@secret/topsecret@db.example/pb", 'dsn = "***"'),
            (
                "PULSEBOARD_REDIS_URL",
                "redis://:topsecret@r.example:6379/0",
                'url = "redis://***@r.example:6379/0"',
            ),
        ],
    )
    def test_secrets_are_masked(self, run, variable, value, shown):
        code, out, _ = run("check-config", **{variable: value})
        assert code == 0
        assert f"{shown}\n" in out
        assert "topsecret" not in out


def test_the_version_needs_none_of_the_heavy_parts():
    script = (
        "import sys; from core import cli\n"
        "try: cli.main(['version'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'litestar', 'asyncpg', 'picows', 'redis', 'uvicorn', 'httpx', 'uvloop', 'ext'}"
        " & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.startswith("pulseboard ")
