"""Opens connections to one address: one at a time, and no faster than the exchange allows an IP address."""

import asyncio
import ssl
from collections.abc import Callable

from market_collector.errors import ConnectionFailedError
from market_collector.model.moment import Moment
from market_collector.net.backoff import TOO_MANY_REQUESTS
from market_collector.net.connection import Connection, Frames, open_connection
from market_collector.net.deadlines import Deadlines
from market_collector.net.rate_limit import Pace


class Dialler:
    """Shared by all links of a collector; its pace by all collectors of the process."""

    def __init__(
        self,
        base: str,
        *,
        tls: ssl.SSLContext | None,
        pace: Pace,
        deadlines: Deadlines,
        clock: Callable[[], Moment],
    ) -> None:
        self._base = base.rstrip("/")
        self._tls = tls
        self._pace = pace
        self._deadlines = deadlines
        self._clock = clock
        self._line = asyncio.Lock()

    async def dial(self, path: str, on_frames: Frames) -> Connection:
        """Opens a connection when its turn has come.

        Raises:
            ConnectionFailedError: it could not be opened, within its deadline. After an HTTP 429 nobody's turn comes
                before ``Retry-After``, since the limit is everybody's.
        """
        async with self._line:
            await asyncio.sleep(self._pace.reserve(self._clock().at))
            try:
                return await open_connection(
                    self._base + path,
                    on_frames,
                    tls=self._tls,
                    timeout_s=self._deadlines.open_s,
                    close_timeout_s=self._deadlines.close_s,
                )
            except ConnectionFailedError as error:
                if error.status == TOO_MANY_REQUESTS:
                    self._pace.hold(self._clock().at + (error.retry_after_s or 0.0))
                raise
