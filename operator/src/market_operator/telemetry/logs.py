"""Logs to stderr: text for people, JSON lines for machines, one line a message, each with the resource it is about.

Messages quote what pods and users sent, so control characters in them are escaped.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal

from market_operator.resource.naming import Key
from market_spec.messages import escaped, escaped_lines

_resource = ContextVar[Key | None]("resource", default=None)


@contextlib.contextmanager
def about(key: Key) -> Iterator[None]:
    """Adds the resource to every log line inside."""
    token = _resource.set(key)
    try:
        yield
    finally:
        _resource.reset(token)


class TextFormatter(logging.Formatter):
    """Time, level, logger, the resource where there is one, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of text."""
        key = _resource.get()
        record.about = f" {key}:" if key else ""
        return escaped_lines(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of logging.Formatter
        """The line above a traceback, in which no newline can forge a second one."""
        return escaped(super().formatMessage(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the resource and the traceback where there are such."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON text."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escaped_lines(record.getMessage()),
        }
        if key := _resource.get():
            line |= {"namespace": key.namespace, "name": key.name}
        if record.exc_info:
            line["error"] = escaped_lines(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Sends all logs of `level` (debug, info, warning, error) and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s:%(about)s %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Every watch and probe is a line there, which nobody reads.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
