"""Logs to stderr: text for people, JSON lines for machines, one line a message, each with the resource it is about."""

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal

from market_operator.resource.naming import Key

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
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the resource and the traceback where there are such."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON text."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if key := _resource.get():
            line |= {"namespace": key.namespace, "name": key.name}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Sends all logs of `level` (debug, info, warning, error) and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s:%(about)s %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Every watch and probe is a line there, which nobody reads.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
