"""Contains errors about one object: they must not end a task that serves others.

Every object in the cluster, and every answer of a pod, may be made by a tenant. So an exception about one is logged
with its namespace and name, and counted.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from market_operator.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)
_LOG_INTERVAL_S = 1.0


class Containment:
    """The one place for such errors. At most one of them is logged each second."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._logged_at = float("-inf")

    @contextmanager
    def of(self, kind: str, namespace: str, name: str) -> Iterator[None]:
        """Contains an error of the block, which handles one object."""
        try:
            yield
        except Exception as error:
            self.report(kind, namespace, name, error)

    def report(self, kind: str, namespace: str, name: str, error: Exception) -> str:
        """Logs and counts an error about an object; returns its description."""
        description = f"internal error: {error!r:.200}"
        self._metrics.contained_errors.labels(kind).inc()
        now = time.monotonic()
        if now - self._logged_at >= _LOG_INTERVAL_S:
            self._logged_at = now
            logger.error("%s %s/%s: %s; others go on", kind, namespace, name, description, exc_info=error)
        return description
