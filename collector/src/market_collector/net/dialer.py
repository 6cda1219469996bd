"""Opens connections to one address, one at a time, within the exchange's rate limit per IP address."""

import asyncio
import ssl
from collections.abc import Callable

from market_collector.errors import ConnectionFailedError
from market_collector.model.moment import Moment
from market_collector.net.backoff import STOPS, requested_delay
from market_collector.net.connection import Connection, Frames
from market_collector.net.deadlines import Deadlines
from market_collector.net.opening import open_connection
from market_collector.net.rate_limit import RateLimit


class Dialer:
    """Shared by all links of a collector; its rate limit by all collectors of the process."""

    def __init__(
        self,
        base: str,
        *,
        tls: ssl.SSLContext | None,
        rate_limit: RateLimit,
        max_message_bytes: int,
        deadlines: Deadlines,
        clock: Callable[[], Moment],
    ) -> None:
        self._base = base.rstrip("/")
        self._tls = tls
        self._rate_limit = rate_limit
        self._max_message_bytes = max_message_bytes
        self._deadlines = deadlines
        self._clock = clock
        self._lock = asyncio.Lock()

    async def dial(self, path: str, on_frames: Frames) -> Connection:
        """Open a connection, in turn.

        Raises:
            ConnectionFailedError: it could not be opened within its deadline. After HTTP 429 or 418 no connection is
                opened before ``Retry-After``, since all share the limit.
        """
        async with self._lock:
            await self._turn()
            try:
                return await open_connection(
                    self._base + path,
                    on_frames,
                    tls=self._tls,
                    timeout_s=self._deadlines.open_s,
                    close_timeout_s=self._deadlines.close_s,
                    max_message_bytes=self._max_message_bytes,
                )
            except ConnectionFailedError as error:
                if error.status in STOPS:
                    self._rate_limit.hold(self._clock().at + (requested_delay(error) or 0.0))
                raise

    async def _turn(self) -> None:
        """Wait until a dial is allowed. If a dial of another collector is refused meanwhile, take another turn."""
        holds = -1
        while holds != self._rate_limit.holds:
            holds = self._rate_limit.holds
            await asyncio.sleep(self._rate_limit.reserve(self._clock().at))
