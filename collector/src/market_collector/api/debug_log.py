"""``LOG_LEVEL=DEBUG``: everything that one collector logs, in a file of its own.

A process may hold many collectors, and the modules below know nothing of that: what belongs to which is told by the
context, which every task that a collector starts inherits.
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


def file_of(exchange: str, symbol: str) -> Path:
    """``logs/okx_collector_btc_usdt_debug.log``."""
    return LOG_DIRECTORY / f"{exchange}_collector_{symbol.lower().replace('-', '_')}_debug.log"


@contextmanager
def debug_log(file: Path) -> Iterator[None]:
    """Within it, when ``LOG_LEVEL`` is ``DEBUG``, all that this task and its children log is appended to the file.

    The package's own level becomes, and stays, DEBUG; what else is listening gets those lines, too.
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
