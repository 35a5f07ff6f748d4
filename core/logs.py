"""Structured logs on standard error: one event a line."""

import logging
import sys
from typing import Any, TextIO

import structlog

_wanted = logging.INFO
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, style: str, stream: TextIO | None = None, **context: Any) -> None:
    """Set up logging for this process.

    `level` is a name of `LEVELS`; `style` is "json" or "text"; `context` (process, worker …) goes
    into every line. Libraries that use the standard `logging` end up in the same stream.
    """
    out = stream or sys.stderr
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    exceptions: list[Any] = [structlog.processors.format_exc_info] if style == "json" else []
    global _wanted  # noqa: PLW0603 - logging is one per process, as structlog's own settings are
    _wanted = LEVELS[level]
    structlog.configure(
        processors=[*shared, *exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *exceptions, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.WARNING))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**context)


class _Named:
    """Put together anew for every line: a module's logger is older than the process's `configure`."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def debugging(self) -> bool:
        """Whether lines of level debug are written: asked where making one would cost too much."""
        return _wanted <= logging.DEBUG

    def __getattr__(self, method: str) -> Any:
        return getattr(structlog.get_logger().bind(logger=self._name), method)


def get_logger(name: str) -> Any:
    """A logger named ``pulseboard.<name>``."""
    return _Named(f"pulseboard.{name}")
