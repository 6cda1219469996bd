"""Logs to standard error: plain text for people, or JSON for machines, one object per line.

Messages quote what others sent, so control characters in them are escaped.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import msgspec

from market_collector.telemetry.status import rfc3339
from market_spec.messages import escaped, escaped_lines

Format = Literal["text", "json"]

_OWN_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
"""Attributes of every log record. All others come from ``extra``."""
_PLAIN = (int, float, type(None))


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
        message = record.getMessage() + (f" ({more})" if more else "")
        line = escaped(f"{_time(record)} {record.levelname:<7} {record.name}: {message}")
        exception = _exception(self, record)
        return f"{line}\n{exception}" if exception else line


class JsonFormatter(logging.Formatter):
    """``{"time": ..., "level": "warning", "logger": ..., "message": ..., "sink": "out"}``; ``exception`` with one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escaped_lines(record.getMessage()),
        }
        exception = _exception(self, record)
        fields |= {"exception": exception} if exception else {}
        extras = {name: value for name, value in _extras(record).items() if name not in fields}
        return msgspec.json.encode(fields | extras).decode()


def _time(record: logging.LogRecord) -> str:
    return rfc3339(int(record.created * 1000) * 1_000_000)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    """The values of ``extra``: numbers and null as they are, all others as strings."""
    more = {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}
    return {name: value if isinstance(value, _PLAIN) else escaped_lines(str(value)) for name, value in more.items()}


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info or not record.exc_info[0]:
        return ""
    return escaped_lines(formatter.formatException(record.exc_info))
