"""Data types, streams, and the states of streams, connections and gaps."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec


class DataType(StrEnum):
    """A kind of market data, as written in ``spec.dataTypes``."""

    TRADE = "trade"
    ORDERBOOK = "orderbook"
    TICKER = "ticker"
    CANDLE = "candle"
    QUOTE = "quote"
    """Made from the order book: it has no stream of its own."""
    BALANCE = "balance"
    FUNDING = "funding"
    MARKPRICE = "markprice"
    OPENINTEREST = "openinterest"
    LIQUIDATION = "liquidation"


OF_DERIVATIVES = frozenset({DataType.FUNDING, DataType.MARKPRICE, DataType.OPENINTEREST, DataType.LIQUIDATION})
"""Data types that only derivatives have. Answers about all tickers tell nothing about them."""

ACCOUNT = "account"
"""Replaces the symbol in streams and records of the account."""

LARGEST_ID = 2**53
StoredId = Annotated[int, msgspec.Meta(ge=-LARGEST_ID, le=LARGEST_ID)]
"""An id, sequence or count of a document. Far above any real one, and the difference of two can be written again."""
LATEST_NS = 2**62
"""In the year 2116."""
StoredTime = Annotated[int, msgspec.Meta(ge=0, le=LATEST_NS)]
"""A time of a document, nanoseconds since 1970."""

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds per unit of an interval."""


class Stream(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """One symbol's data of one type (candles: of one interval), or the account's balances.

    The hash is cached because each message looks up its stream.
    """

    symbol: str
    """A canonical name, for example ``BTC-USDT``; `ACCOUNT` for balances, which belong to no symbol."""
    data_type: DataType
    interval: str = ""
    """Candles only: ``1m``, ``1h``, ..."""

    @classmethod
    def parse(cls, name: str) -> Stream:
        """Return the stream with this name, as in events and ``/status``.

        Raises:
            ValueError: it is no name of a stream.
        """
        symbol, _, kind = name.rpartition("/")
        data_type, _, interval = kind.partition(":")
        return cls(symbol, DataType(data_type), interval)

    def candle_number(self, open_time_ns: int) -> int:
        """Return a candle's number: intervals since 1970, consecutive.

        Raises:
            ValueError, KeyError: the interval of the stream is none.
        """
        return (open_time_ns - self._first_ns) // self._interval_ns

    def candle_open_ns(self, number: int) -> int:
        """Return when the candle with this number opens, nanoseconds since 1970."""
        return number * self._interval_ns + self._first_ns

    def format_id(self, number: int) -> str:
        """A trade id or a candle's number as records write it: the id, or the candle's open time in nanoseconds."""
        return str(self.candle_open_ns(number) if self.data_type is DataType.CANDLE else number)

    def parse_id(self, text: str) -> int:
        """The reverse of `format_id`."""
        return self.candle_number(int(text)) if self.data_type is DataType.CANDLE else int(text)

    def format_position(self, number: int) -> str:
        """The same as ``/status``, checkpoints and `verify` write it: candles by their open time in milliseconds."""
        return str(self.candle_open_ns(number) // 1_000_000 if self.data_type is DataType.CANDLE else number)

    def parse_position(self, text: str) -> int:
        """The reverse of `format_position`."""
        return self.candle_number(int(text) * 1_000_000) if self.data_type is DataType.CANDLE else int(text)

    @property
    def _interval_ns(self) -> int:
        count = int(self.interval[:-1])
        if count < 1:
            raise ValueError(f"{self.interval[:20]!r} is no interval")
        return count * SECONDS[self.interval[-1]] * 1_000_000_000

    @property
    def _first_ns(self) -> int:
        """Weeks start on Monday; 1970 started on a Thursday."""
        return 4 * SECONDS["d"] * 1_000_000_000 if self.interval.endswith("w") else 0

    def __str__(self) -> str:
        """The name in ``/status`` and in events: ``BTC-USDT/trade``, ``BTC-USDT/candle:1m``, ``account/balance``."""
        return f"{self.symbol}/{self.data_type}" + (f":{self.interval}" if self.interval else "")


class StreamState(StrEnum):
    """State of a stream."""

    PENDING = "pending"
    """Subscribed, no data received yet."""
    LIVE = "live"
    """Received data within ``staleAfter``."""
    QUIET = "quiet"
    """Received none within ``staleAfter``, and the exchange confirms that it has none newer."""
    STALE = "stale"
    """Received none within ``staleAfter``, for no known reason."""
    UNKNOWN = "unknown"
    """Received none within ``staleAfter``, and the exchange could not be asked whether it has any."""
    REFUSED = "refused"
    """The exchange refuses to serve it; the reason says why."""


class ConnectionState(StrEnum):
    """State of a connection."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DRAINING = "draining"
    """It will be replaced, and streams until its successor can take over."""
    BACKOFF = "backoff"
    """Waiting before the next attempt."""
    STOPPED = "stopped"


class GapState(StrEnum):
    """State of a gap: open, then filled (``repaired``) or lost."""

    OPEN = "open"
    REPAIRED = "repaired"
    LOST = "lost"
