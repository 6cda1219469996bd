"""Logs for people and for machines."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from market_collector.telemetry.logs import Format, set_up


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(form: Format, level: str = "info") -> tuple[io.StringIO, logging.Logger]:
    stream = io.StringIO()
    set_up(level, form, stream)
    return stream, logging.getLogger("market_collector.feed")


def log_a_failure(log: logging.Logger) -> None:
    try:
        int("why")
    except ValueError:
        log.exception("failed")


def test_text_has_time_level_place_message_and_extras() -> None:
    stream, log = logged("text")
    log.warning("no data for %d s", 60, extra={"stream": "BTC-USDT/trade", "connection": "public"})
    time, _, rest = stream.getvalue().partition(" ")
    assert len(time) == len("2026-11-22T10:00:00.000Z")
    assert rest == ("WARNING market_collector.feed: no data for 60 s (stream=BTC-USDT/trade, connection=public)\n")


def test_a_frames_newlines_cannot_forge_a_line_of_text() -> None:
    stream, log = logged("text")
    log.info("unknown frame: %s", "x\n2026 ERROR forged")
    assert stream.getvalue().count("\n") == 1


def test_text_shows_a_traceback_below_its_line() -> None:
    stream, log = logged("text")
    log_a_failure(log)
    assert "failed\nTraceback (most recent call last):" in stream.getvalue()
    assert stream.getvalue().endswith("'why'\n")


def test_json_is_one_object_a_line() -> None:
    stream, log = logged("json")
    log.warning("two\nlines", extra={"stream": "A-B/trade", "path": Path("/data"), "level": "forged"})
    log.info("next")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert len(first.pop("time")) == 24
    assert first == {
        "level": "warning",
        "logger": "market_collector.feed",
        "message": "two\nlines",
        "stream": "A-B/trade",
        "path": "/data",
    }
    assert second["message"] == "next"


def test_json_carries_the_exception() -> None:
    stream, log = logged("json")
    log_a_failure(log)
    assert json.loads(stream.getvalue())["exception"].endswith("'why'")


def test_the_level_decides_what_is_logged() -> None:
    stream, log = logged("text", "error")
    log.warning("no")
    log.error("yes")
    assert stream.getvalue().endswith("yes\n")
    assert "no" not in stream.getvalue()


def test_a_second_set_up_replaces_the_first() -> None:
    first, log = logged("text")
    second, log = logged("text")
    log.info("once")
    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)


def test_logs_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text")
    logging.getLogger("x").info("here")
    output = capsys.readouterr()
    assert ("here" in output.err, output.out) == (True, "")


HOSTILE = "\x1b[2J\r\u202e\x9b\ud800"
SHOWN = r"\x1b[2J\r\u202e\x9b\ud800"


@pytest.mark.parametrize(("form", "shown"), [("text", SHOWN), ("json", SHOWN.replace("\\", "\\\\"))])
def test_control_characters_are_escaped_everywhere(form: Format, shown: str) -> None:
    """In the message, in extras and in a traceback. A lone surrogate would lose the line: it has no UTF-8."""
    stream, log = logged(form)
    failure = ValueError(HOSTILE)
    log.error("m: %s", HOSTILE, exc_info=failure, extra={"sink": HOSTILE, "path": Path(HOSTILE)})
    output = stream.getvalue()
    assert output.encode().count(shown.encode()) == 4
    assert all(line.isprintable() for line in output.splitlines())
