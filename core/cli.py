"""The command line: ``pulseboard <command>``.

Errors are one line on standard error and an exit code: 78 for the configuration (sysexits.h), 2 for
wrong usage, 130 after Ctrl-C, 1 for everything else. Commands import what they need when they run.
"""

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import click

from core.errors import ConfigError, PulseboardError
from core.version import version as release

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130
PASSWORD_VARIABLE = "PULSEBOARD_PASSWORD"  # noqa: S105 - the name of a variable, not a password


class Settings:
    """The options before the command."""

    def __init__(self, path: str | None, debug: bool) -> None:
        self.path = path
        self.debug = debug

    def load(self, **flags: Any) -> Any:
        """The configuration with `flags` ("section__key") on top; None means "not given"."""
        from core.config import load  # noqa: PLC0415 - `version` and `--help` need no configuration

        return load(self.path, flags={name.replace("__", "."): value for name, value in flags.items()})


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "path", metavar="FILE", help="TOML file with settings (PULSEBOARD_CONFIG).")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.pass_context
def cli(context: click.Context, path: str | None, debug: bool) -> None:
    """Pulseboard: a live dashboard for networks that pay their nodes."""
    context.obj = Settings(path, debug)


_port = click.IntRange(0, 65535)
_parent = click.option("--parent", type=int, hidden=True, help="The supervisor's process id.")
_admin_port = click.option("--admin-port", type=_port, help="Port for health and metrics; 0: a free one.")


@cli.command()
@click.option("--http-port", type=_port, help="Port of the page and the API; 0: a free one.")
@click.option("--ws-port", type=_port, help="Port of the WebSocket workers; 0: a free one.")
@click.option("--data", metavar="FOLDER", help="Folder for everything that is kept.")
@click.option("--workers", type=click.IntRange(1, 512), help="Worker processes.")
@click.option("--demo", type=click.IntRange(0, 10_000), default=0, help="Also start this many node agents.")
@click.pass_obj
def up(
    settings: Settings,
    *,
    http_port: int | None,
    ws_port: int | None,
    data: str | None,
    workers: int | None,
    demo: int,
) -> None:
    """Start the whole system on this machine; Ctrl-C stops it."""
    config = settings.load(http__port=http_port, ws__port=ws_port, data=data, ws__workers=workers)

    async def run() -> None:
        from core.supervisor import Supervisor  # noqa: PLC0415 - the other commands do without

        await Supervisor(config, demo=demo, say=_say).run()

    _run(run())


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=_port, help="Port that all workers share.")
@click.option("--echo", is_flag=True, help="Only send everything back, at /echo; needs no other server.")
@_admin_port
@_parent
@click.pass_obj
def worker(
    settings: Settings,
    *,
    host: str | None,
    port: int | None,
    echo: bool,
    admin_port: int | None,
    parent: int | None,
) -> None:
    """Run a WebSocket worker."""
    entry = "run_echo" if echo else "run_worker"
    _process(entry, settings, parent, ws__host=host, ws__port=port, admin__port=admin_port)


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=_port, help="Port to listen on; 0: a free one.")
@_parent
@click.pass_obj
def api(settings: Settings, host: str | None, port: int | None, parent: int | None) -> None:
    """Run the HTTP API and the page."""
    _process("run_api", settings, parent, http__host=host, http__port=port)


@cli.command()
@_admin_port
@_parent
@click.pass_obj
def jobs(settings: Settings, admin_port: int | None, parent: int | None) -> None:
    """Run the singleton duties; a second one waits and takes over."""
    _process("run_jobs", settings, parent, admin__port=admin_port)


@cli.command()
@click.option("--server", required=True, metavar="URL", help="Address of the page, http(s)://host[:port].")
@click.option("--enrol", "token", metavar="TOKEN", help="Enrolment token, from the page.")
@click.option("--email", help="Sign in to enrol; the password is PULSEBOARD_PASSWORD, or asked for.")
@click.option("--name", help="The node's name.  [default: this machine's]")
@click.option("--count", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Nodes to run.")
@click.option("--data", metavar="FOLDER", help="Folder that keeps the identities.")
@_parent
@click.pass_obj
def agent(
    settings: Settings,
    *,
    server: str,
    token: str | None,
    email: str | None,
    name: str | None,
    count: int,
    data: str | None,
    parent: int | None,
) -> None:
    """Run a node (or several): connect, stay online, answer challenges."""
    from core.agent.fleet import run_agents  # noqa: PLC0415 - the other commands do without

    if token and email:
        raise click.UsageError("Give either --enrol or --email.")
    _end_with(parent)
    config = settings.load(data=data)
    sign_in = (email, os.environ.get(PASSWORD_VARIABLE) or _ask_password(email)) if email else None
    _run(
        run_agents(config, server=server, name=name, count=count, enrol_token=token, sign_in=sign_in),
    )


@cli.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date."""
    from core import bootstrap, logs  # noqa: PLC0415 - the other commands do without

    config = settings.load()
    logs.configure(config.log.level, config.log.format, process="migrate")

    async def run() -> None:
        applied = await bootstrap.migrate(config)
        for name in applied:
            _say(f"applied {name}")
        _say("the schema is up to date")

    _run(run())


@cli.group()
def ledger() -> None:
    """Look after what is booked."""


@ledger.command("check")
@click.pass_obj
def ledger_check(settings: Settings) -> None:
    """Prove that every figure is what the postings come to; code 1 and the first row that offends if not.

    Without `database.dsn` it looks into the embedded database, while it runs.
    """
    from core import bootstrap  # noqa: PLC0415 - the other commands do without

    config = settings.load()
    verdicts = []

    async def run() -> None:
        verdicts.append(await bootstrap.check_ledger(config))

    _run(run())
    (verdict,) = verdicts
    for finding in verdict.findings:
        row = ", ".join(f"{name}={value}" for name, value in finding.row.items())
        _say(f"{finding.invariant}: {finding.detail} ({row})")
    if verdict.findings:
        sys.exit(EXIT_FAILURE)
    again = ", ".join(map(str, verdict.epochs)) or "none"
    _say(f"the ledger is sound (people: {verdict.people}; epochs computed again: {again})")


@cli.command("check-config")
@click.pass_obj
def check_config(settings: Settings) -> None:
    """Check the configuration and print what is in effect, without secrets."""
    from core.effective import describe  # noqa: PLC0415 - the other commands do without

    click.echo(describe(settings.load()), nl=False)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"pulseboard {release()}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_main(arguments))


def _main(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    code = 0
    try:
        cli.main(arguments, prog_name="pulseboard", standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        # Somebody looks around: the whole help is what they want.
        click.echo(error.format_message(), err=True)
        code = EXIT_USAGE
    except click.ClickException as error:
        code = _fail(error.format_message(), EXIT_USAGE, error, debug)
    except (KeyboardInterrupt, click.Abort, asyncio.CancelledError) as error:
        code = _fail("interrupted", EXIT_INTERRUPTED, error, debug)
    except Exception as error:
        code = _fail(*_verdict(error), error, debug)
    return code


def _verdict(error: BaseException) -> tuple[str, int]:
    # What a group of one error, or of several from one cause, is about.
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConfigError):
        return str(error), EXIT_CONFIG
    if isinstance(error, PulseboardError):
        return str(error), EXIT_FAILURE
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)", EXIT_FAILURE


def _fail(message: str, code: int, error: BaseException, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    lines = [line.strip() for line in message.splitlines()]
    click.echo(f"pulseboard: error: {' | '.join(line for line in lines if line)}", err=True)
    return code


def _process(entry: str, settings: Settings, parent: int | None, **flags: Any) -> None:
    from core import bootstrap  # noqa: PLC0415 - `version` and `check-config` do without

    _end_with(parent)
    config = settings.load(**flags)
    run: Callable[..., Coroutine[Any, Any, None]] = getattr(bootstrap, entry)
    _run(run(config, lambda: settings.load(**flags)))


def _end_with(parent: int | None) -> None:
    if parent is not None:
        from core.lifeline import die_with  # noqa: PLC0415 - only children of a supervisor have one

        die_with(parent)


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop  # noqa: PLC0415 - not every command runs a loop

    uvloop.run(work)


def _say(text: str) -> None:
    try:
        click.echo(text)
    except OSError:
        # The terminal is gone; that is no reason to leave things half done.
        return


def _ask_password(email: str) -> str:
    password: str = click.prompt(f"Password of {email}", hide_input=True, err=True)
    return password


if __name__ == "__main__":
    main()
