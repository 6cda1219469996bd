"""Budgets of a REST address, and the time for which it accepts no requests.

Shared by all collectors of the process, because exchanges count requests by IP address.
"""

import logging
import time
from functools import cache
from math import inf

from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Budget, ProblemKind, Request, RestProblem

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 60.0
"""Requests wait for the end of a stop of up to this length. During a longer one they fail at once, with the reason."""
LONGEST_STOP_S = 3 * 86_400.0
"""The longest ban that an exchange documents (Binance). A proxy may report any number."""
BUSY_SHARE = 0.8
"""Above this used share of the exchange's own limit, requests slow down."""
SLOWEST = 0.1
"""The lowest pace, as a share of the usual one. Exchanges report a lower share only with a new answer."""
STOPS = frozenset({ProblemKind.BUSY, ProblemKind.BANNED, ProblemKind.REGION})


class RestHost:
    """The budgets of one address. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.stops = 0
        """How often the exchange has stopped the requests."""
        self._full_at: dict[str, float] = {}
        """By bucket: when it is full again. Infinite if a stop has emptied it."""
        self._stopped_until = 0.0
        self._stop_reason = ""
        self._stop_kind = ProblemKind.BUSY
        self._pace = 1.0

    def reserve(self, request: Request, budget: Budget, now: float) -> float:
        """Spend the request's cost; returns the seconds until it may be sent."""
        start, refill_s = max(now, self._stopped_until), budget.capacity / budget.per_second
        full_at = self._full_at.get(request.bucket, 0.0)
        full_at = start + refill_s if full_at == inf else max(start, full_at)
        full_at += request.cost / (budget.per_second * self._pace)
        self._full_at[request.bucket] = full_at
        return max(start, full_at - refill_s) - now

    def check_stop(self, call: str, now: float) -> None:
        """Refuse a call during a long stop.

        Raises:
            RequestFailedError: the stop lasts longer than `LONGEST_WAIT_S`. The message has its end and its reason.
        """
        if self._stopped_until - now > LONGEST_WAIT_S:
            raise RequestFailedError(f"{call}: not sent: {self._stop_reason}", RestProblem(self._stop_kind))

    def heed(self, error: RequestFailedError, now: float) -> None:
        """Stop all requests for the pause of an error that reports too many of them, or excludes the region."""
        problem = error.problem
        if problem is None or problem.kind not in STOPS:
            return
        pause_s = min(problem.pause_s, LONGEST_STOP_S)
        if now + pause_s <= self._stopped_until:
            return
        self.stops += 1
        self._full_at = dict.fromkeys(self._full_at, inf)  # those that wait take another turn
        self._stopped_until, self._stop_kind = now + pause_s, problem.kind
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + pause_s))
        self._stop_reason = f"all requests wait until {end}, because of {error}"
        if pause_s > LONGEST_WAIT_S:
            log.warning("REST: %s", self._stop_reason)

    def note_use(self, share: float) -> None:
        """Slow down while the exchange reports that most of its limit is used: 100 % would be a ban."""
        self._pace = max(SLOWEST, min(1.0, (1.0 - share) / (1.0 - BUSY_SHARE)))


@cache
def host_of(address: str) -> RestHost:
    """Return the process's state for a base address."""
    return RestHost()
