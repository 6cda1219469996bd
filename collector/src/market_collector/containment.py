"""Contains internal errors: an error about one stream, request or address must not end what serves the others.

The one place for tasks that the process shares. A `Feed` does the same for the messages of a connection.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from market_collector.errors import CollectorError
from market_collector.feed.complaints import Complaints
from market_collector.model.moment import Moment

log = logging.getLogger(__name__)
LONGEST_ERROR = 300


class Containment:
    """Logs and counts contained errors; /status has their number."""

    def __init__(self, complaints: Complaints, clock: Callable[[], Moment]) -> None:
        self._complaints = complaints
        self._clock = clock

    def report(self, subject: str, error: Exception) -> str:
        """Log an error with its subject, a stream or an address, and count it; returns its description."""
        reason = f"internal error: {error!r:.{LONGEST_ERROR}}"
        for warning in self._complaints.warn(f"{subject}: contained", f"{subject}: {reason}", self._clock(), error):
            log.error("%s", warning.message, exc_info=error)
        return reason

    @contextmanager
    def of(self, subject: str) -> Iterator[None]:
        """Contain an error of the block. Errors that this package raises on purpose pass."""
        try:
            yield
        except CollectorError:
            raise
        except Exception as error:
            self.report(subject, error)
