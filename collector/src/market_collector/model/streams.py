"""Data types, streams and the words for their state: the nouns that every other module uses."""

from enum import StrEnum

import msgspec


class DataType(StrEnum):
    """A kind of market data, in the words of the resource's ``spec.dataTypes``."""

    TRADE = "trade"
    ORDERBOOK = "orderbook"
    TICKER = "ticker"
    CANDLE = "candle"
    BALANCE = "balance"


ACCOUNT = "account"
"""Stands where a stream or a record of the account would name its symbol."""

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Of the units that intervals are written in."""


class Stream(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """One symbol's data of one type (and, for candles, of one interval), or the account's balances: what is subscribed,
    watched and reported.

    Each message looks its stream up, so the hash is made once.
    """

    symbol: str
    """Canonical BASE-QUOTE, for example ``BTC-USDT``; `ACCOUNT` for balances, which belong to no symbol."""
    data_type: DataType
    interval: str = ""
    """Candles only: ``1m``, ``1h``, ..."""

    def candle_number(self, open_time_ns: int) -> int:
        """A candle's place in the row of all candles since 1970: each interval has the next whole number."""
        return (open_time_ns - self._first_ns) // self._interval_ns

    def candle_open_ns(self, number: int) -> int:
        """The reverse: when the candle of that number opens, nanoseconds since 1970."""
        return number * self._interval_ns + self._first_ns

    def format_id(self, number: int) -> str:
        """A trade id or a candle's number as gaps write it: the id, or the candle's open time in milliseconds."""
        return str(self.candle_open_ns(number) // 1_000_000 if self.data_type is DataType.CANDLE else number)

    def parse_id(self, text: str) -> int:
        """The reverse of `format_id`."""
        return self.candle_number(int(text) * 1_000_000) if self.data_type is DataType.CANDLE else int(text)

    @property
    def _interval_ns(self) -> int:
        return int(self.interval[:-1]) * SECONDS[self.interval[-1]] * 1_000_000_000

    @property
    def _first_ns(self) -> int:
        """Weeks begin on Mondays, and 1970 began on a Thursday."""
        return 4 * SECONDS["d"] * 1_000_000_000 if self.interval.endswith("w") else 0

    def __str__(self) -> str:
        """The name in ``/status`` and in events: ``BTC-USDT/trade``, ``BTC-USDT/candle:1m``, ``account/balance``."""
        return f"{self.symbol}/{self.data_type}" + (f":{self.interval}" if self.interval else "")


class StreamState(StrEnum):
    """What is known of a stream now."""

    PENDING = "pending"
    """Asked for, nothing received yet."""
    LIVE = "live"
    """Had data within ``staleAfter``."""
    QUIET = "quiet"
    """Had none, and the exchange itself confirms that there is none newer: a quiet market, not a fault."""
    STALE = "stale"
    """Had none, and nothing explains it."""
    REFUSED = "refused"
    """The exchange does not want to serve it; the reason says why."""


class ConnectionState(StrEnum):
    """Where a connection stands in its life."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DRAINING = "draining"
    """A successor streams already; this one ends."""
    BACKOFF = "backoff"
    """Waits before the next attempt."""
    STOPPED = "stopped"


class GapState(StrEnum):
    """A hole's life: open, then repaired or lost."""

    OPEN = "open"
    REPAIRED = "repaired"
    LOST = "lost"
