"""Events of a market, independent of the wire format: a dialect encodes them.

A source (`replay`, `market`) is an endless iterator of events in order of `time_us`, the time at which the exchange
publishes the event. It is in microseconds since 1970 on the simulator's clock. The times on the wire (`ts_ms`) are
milliseconds since 1970 and can be slightly earlier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias


class Key(NamedTuple):
    """A stream that a client can subscribe to: a channel of the dialect, and the symbol of an instrument.

    `variant`: the form of the messages, where it differs between connections.
    """

    channel: str
    instrument: str
    variant: str = ""


class Level(NamedTuple):
    """One price level of a side. Size "0" deletes it.

    `key` orders prices exactly. The strings are decimal numbers; `orders` is the number of orders at this price.
    """

    key: int
    price: str
    size: str
    orders: str


Levels: TypeAlias = tuple[Level, ...]
NO_LEVELS: Levels = ()


@dataclass(frozen=True, slots=True)
class TradeRow:
    """Fills of one taker order at one price. `sizes` has one entry per fill; the ids are dense up to `last_id`.

    `source` is the kind of order in the words of the dialect that recorded it. `name` is the exchange's own id of a
    recorded fill, if the ids of the dialect do not tell whether one is missing.
    """

    last_id: int
    price: str
    size: str
    sizes: tuple[str, ...]
    side: str
    source: str
    ts_ms: int
    sequence: int
    name: str = ""

    @property
    def first_id(self) -> int:
        return self.last_id - len(self.sizes) + 1


@dataclass(frozen=True, slots=True)
class Trades:
    """One or more merged trades in one message."""

    time_us: int
    instrument: str
    rows: tuple[TradeRow, ...]


@dataclass(frozen=True, slots=True)
class BookChange:
    """New absolute sizes. `is_snapshot`: the instrument's first state, which replaces all earlier ones.

    `first` is the number of the first of the changes that a recorded message sums up, or 0 if it is not known.

    `sequence == previous` without levels is the exchange's no-change push.
    """

    time_us: int
    instrument: str
    ts_ms: int
    bids: Levels
    asks: Levels
    sequence: int
    previous: int
    checksum: int
    is_snapshot: bool = False
    first: int = 0

    @property
    def is_no_change(self) -> bool:
        return self.sequence == self.previous and not self.bids and not self.asks


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """A row of a channel that is replayed as recorded, with its new time and sequence number (None: it has none)."""

    time_us: int
    instrument: str
    channel: str
    row: Mapping[str, Any]
    ts_ms: int
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Tick:
    """The end of 100 ms of market time, when the rate-limited channels are published."""

    time_us: int


Event: TypeAlias = Trades | BookChange | RecordedRow | Tick
