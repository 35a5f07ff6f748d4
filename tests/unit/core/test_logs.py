import io
import json
import logging

import pytest

from core.logs import configure, get_logger

# Modules make theirs at import, before anybody configures.
EARLY = get_logger("early")


pytestmark = pytest.mark.usefixtures("own_log_settings")


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_with_name_level_time_and_the_processs_context() -> None:
    out = io.StringIO()
    configure("info", "json", out, process="api")
    get_logger("http").info("request", status=200, path='/a"\n')
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "pulseboard.http",
        "process": "api",
        "status": 200,
        "path": '/a"\n',
    }


def test_a_logger_older_than_the_configuration_obeys_it() -> None:
    out = io.StringIO()
    configure("warning", "json", out)
    EARLY.info("not written")
    EARLY.warning("written")
    assert [line["event"] for line in lines(out)] == ["written"]
    again = io.StringIO()
    configure("debug", "json", again)
    EARLY.debug("now written")
    assert [line["event"] for line in lines(again)] == ["now written"]


def test_a_traceback_stays_within_its_line() -> None:
    out = io.StringIO()
    configure("info", "json", out)
    try:
        raise ZeroDivisionError("what happened")
    except ZeroDivisionError:
        get_logger("x").exception("it failed")
    (line,) = lines(out)
    assert "ZeroDivisionError: what happened" in line["exception"]


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    out = io.StringIO()
    configure("info", "json", out)
    get_logger("x").info("odd", value={1, 2}.__class__)
    assert lines(out)[0]["value"] == "<class 'set'>"


def test_libraries_end_up_in_the_same_stream_from_warnings_on() -> None:
    out = io.StringIO()
    configure("debug", "json", out, process="api")
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    (line,) = lines(out)
    assert (line["event"], line["logger"], line["level"]) == ("slow callback", "asyncio", "warning")
    assert line["process"] == "api"


def test_text_is_for_reading() -> None:
    out = io.StringIO()
    configure("info", "text", out)
    get_logger("http").info("started", port=8080)
    text = out.getvalue()
    assert "started" in text
    assert "port=8080" in text
    assert "\x1b" not in text
