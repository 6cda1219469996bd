"""What happens in a market, before it is put into anybody's wire format.

A source (`replay`, `market`) is an endless iterator of these, in order of `time_us`. All times of events are
microseconds since 1970 on the simulator's clock: the moment at which the exchange publishes the event. The times that
go onto the wire (`ts_ms`) are milliseconds since 1970 and may lie a little before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Key(NamedTuple):
    """A stream that can be subscribed: channel and instrument, as the exchange names them."""

    channel: str
    instrument: str


class Level(NamedTuple):
    """One price of one side of a book. Size "0" deletes it. `key` orders prices exactly; the texts are what is sent."""

    key: int
    price: str
    size: str
    orders: str


class Levels(NamedTuple):
    """Levels of one side together with their JSON text, made once however often it is sent."""

    rows: tuple[Level, ...]
    text: str


def levels(rows: Iterable[Level]) -> Levels:
    """The rows with OKX's text for them: `[["px","sz","0","orders"],...]`."""
    kept = tuple(rows)
    return Levels(kept, "[" + ",".join(f'["{r.price}","{r.size}","0","{r.orders}"]' for r in kept) + "]")


NO_LEVELS = levels(())


@dataclass(frozen=True, slots=True)
class TradeRow:
    """Fills of one taker order at one price. `sizes` has one entry per fill; ids end at `last_id` and step by 1."""

    last_id: int
    price: str
    size: str
    sizes: tuple[str, ...]
    side: str
    source: str
    ts_ms: int
    sequence: int

    @property
    def first_id(self) -> int:
        return self.last_id - len(self.sizes) + 1


@dataclass(frozen=True, slots=True)
class Trades:
    """One or more merged trades that the exchange publishes in one message."""

    time_us: int
    instrument: str
    rows: tuple[TradeRow, ...]


@dataclass(frozen=True, slots=True)
class BookChange:
    """New absolute sizes. `is_snapshot`: the instrument's first state, which forgets all before.

    `sequence == previous` with no levels is the exchange's "nothing changed" push.
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

    @property
    def is_no_change(self) -> bool:
        return self.sequence == self.previous and not self.bids.rows and not self.asks.rows


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """A row of a channel that the recording holds itself (tickers, bbo-tbt, books5), as JSON text."""

    time_us: int
    instrument: str
    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A tenth of a second of market time has ended: what is published at a bounded pace goes out now."""

    time_us: int


Event: TypeAlias = Trades | BookChange | RecordedRow | Tick
