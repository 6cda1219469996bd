"""``LOG_LEVEL=DEBUG``: all log lines of one collector, in a file of its own.

A process may have many collectors, of which the modules below know nothing. A context variable identifies the
collector; every task that a collector starts inherits it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from market_collector.telemetry.logs import TextFormatter

LOG_DIRECTORY = Path("logs")
"""Below the working directory."""

_current: ContextVar[object] = ContextVar("collector", default=None)

log = logging.getLogger(__name__)


def file_of(exchange: str, title: str) -> Path:
    """``logs/okx_collector_btc_usdt_debug.log``; the title is the configuration's."""
    return LOG_DIRECTORY / f"{exchange}_collector_{title.lower().replace('-', '_')}_debug.log"


@contextmanager
def debug_log(file: Path) -> Iterator[None]:
    """Appends the log lines of this task and its children to the file, if ``LOG_LEVEL`` is ``DEBUG``.

    The level of the package becomes DEBUG and stays so; other handlers get those lines too.
    """
    handler = _handler(file) if os.environ.get("LOG_LEVEL", "").upper() == "DEBUG" else None
    if handler is None:
        yield
        return
    package = logging.getLogger("market_collector")
    package.setLevel(logging.DEBUG)
    package.addHandler(handler)
    token = _current.set(handler)
    try:
        yield
    finally:
        _current.reset(token)
        package.removeHandler(handler)
        handler.close()


def _handler(file: Path) -> logging.Handler | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
    except OSError as error:
        log.warning("LOG_LEVEL=DEBUG, but %s cannot be written: %s", file, error.strerror)
        return None
    handler.setFormatter(TextFormatter())
    handler.addFilter(lambda record: _current.get() is handler)
    return handler
