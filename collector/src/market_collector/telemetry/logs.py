"""Logs to standard error: plain text for people, or JSON for machines, one object per line."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import msgspec

from market_collector.telemetry.status import rfc3339

Format = Literal["text", "json"]

_OWN_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
"""Attributes of every log record. All others come from ``extra``."""


def set_up(level: str, form: Format, stream: TextIO | None = None) -> None:
    """Sends all logs of this process from ``level`` (debug, info, warning, error) up to standard error.

    Call it once, at the start. A second call replaces the first.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("websockets").setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """``2026-11-22T10:00:00.000Z WARNING market_collector.sinks.fanout: what happened (sink=out)``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line (newlines in the message are shown as ``\\n``), and a traceback below it if there is one."""
        more = ", ".join(f"{name}={value}" for name, value in _extras(record).items())
        message = record.getMessage().replace("\n", "\\n") + (f" ({more})" if more else "")
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {message}"
        exception = _exception(self, record)
        return f"{line}\n{exception}" if exception else line


class JsonFormatter(logging.Formatter):
    """``{"time": ..., "level": "warning", "logger": ..., "message": ..., "sink": "out"}``; ``exception`` with one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON. Converts values without a JSON form to strings."""
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        exception = _exception(self, record)
        fields |= {"exception": exception} if exception else {}
        extras = {name: value for name, value in _extras(record).items() if name not in fields}
        return msgspec.json.encode(fields | extras, enc_hook=str).decode()


def _time(record: logging.LogRecord) -> str:
    return rfc3339(int(record.created * 1000) * 1_000_000)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
