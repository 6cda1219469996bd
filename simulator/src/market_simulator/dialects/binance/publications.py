"""Creates the events of Binance's streams.

Raw connections get events, combined ones get them wrapped: two variants of a stream. Batches of depth updates are cut
in `CUTS` ways, because the servers of the exchange cut them independently. Variants without subscribers are not
encoded.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final, TypeAlias

from market_simulator.dialects.binance import frames
from market_simulator.dialects.binance.recording import replayed
from market_simulator.engine.candles import SECOND, Bar, Candle
from market_simulator.engine.events import BookChange, Key, Level, RecordedRow, Trades
from market_simulator.engine.venue import Board, Venue

FillWriter: TypeAlias = Callable[[int, str, int, str, str, int, bool], str]
"""Writes one fill: time of the event, native name, id, price, size, time of the trade, whether the taker sold."""

CUTS: Final = 3
_SECOND_US: Final = 1_000_000
_KLINE_US: Final = 2_000_000  # period of running candles, except for those of a second


def variant(is_combined: bool, cut: int) -> str:
    """The variant of depth streams on a connection. Those of other streams have the cut 0."""
    return f"{'combined' if is_combined else 'raw'}/{cut}"


class _Batches:
    """The changes of a book that wait for the next depth update, cut in one way.

    A cut of n leaves the newest n changes to the next update, if there are older ones. Numbers that are lost between
    two changes are in no update.
    """

    def __init__(self, cut: int) -> None:
        self.cut = cut
        self._waiting: list[BookChange] = []

    def add(self, change: BookChange) -> None:
        self._waiting.append(change)

    def take(self) -> list[BookChange]:
        """Remove and return the changes of the next update."""
        count = len(self._waiting) - self.cut if len(self._waiting) > self.cut else len(self._waiting)
        steps = enumerate(pairwise(self._waiting[:count]), 1)
        count = next((place for place, (one, other) in steps if other.previous > one.sequence), count)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch


class Publisher:
    """The events of one instrument."""

    depths: Mapping[str, int] = frames.DEPTHS
    fills: Mapping[str, FillWriter] = {"trade": frames.trade}

    def __init__(self, board: Board, venue: Venue) -> None:
        self.board = board
        self._recorded = {key.channel for key in venue.recorded if key.instrument == board.instrument.id}
        self._depths = {key.channel for key in venue.books if key.instrument == board.instrument.id}
        self.name = frames.native(board.instrument.id)
        derived = self.depths.keys() - self._depths
        self._batches = {stream: [_Batches(cut) for cut in range(CUTS)] for stream in sorted(derived)}
        self._top: tuple[Level, ...] = ()
        self._ticker_is_new = False
        self._traded_us = -1  # time of the newest trade

    # -- events ---------------------------------------------------------------------------------------------------

    def trades(self, event: Trades, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """One event for each fill."""
        self._ticker_is_new, self._traded_us = True, event.time_us
        pushes: list[tuple[Key, str]] = []
        for stream, write in self.fills.items():
            if keys := self.keys(stream, wanted):
                pushes += [push for text in self._fill_texts(event, write) for push in self.pushes(keys, text)]
        return pushes

    def _fill_texts(self, event: Trades, write: FillWriter) -> list[str]:
        event_ms = event.time_us // 1000
        return [
            write(event_ms, self.name, row.first_id + place, row.price, size, row.ts_ms, row.side == "sell")
            for row in event.rows
            for place, size in enumerate(row.sizes)
        ]

    def book_change(self, change: BookChange, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Note the change for the next depth updates, and publish recorded ones and new best levels."""
        pushes: list[tuple[Key, str]] = []
        if not change.is_no_change and not change.is_snapshot:
            for ways in self._batches.values():
                for batches in ways:
                    batches.add(change)
            pushes = self._recorded_depths(change, wanted)
        book = self.board.book
        top = (*book.bids.best(1), *book.asks.best(1))
        if top == self._top or len(top) < 2:
            return pushes
        self._top, self._ticker_is_new = top, True
        keys = self.derived("bookTicker", wanted)
        return pushes + (self.pushes(keys, self.top_text(change, *top)) if keys else [])

    def _recorded_depths(self, change: BookChange, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The update as recorded, for connections of all cuts."""
        keys = [key for stream in self._depths for cut in range(CUTS) for key in self.keys(stream, wanted, cut)]
        return self.pushes(keys, self.recorded_depth_text(change)) if keys else []

    def recorded(self, event: RecordedRow, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """An event as recorded."""
        keys = self.keys(event.channel, wanted)
        return self.pushes(keys, replayed(event)) if keys else []

    # -- the regular beat -----------------------------------------------------------------------------------------

    def tick(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Every 100 ms or 1 s depth updates, every second tickers and closed candles."""
        pushes: list[tuple[Key, str]] = []
        for stream, period_us in self.depths.items():
            if time_us % period_us == 0 and stream in self._batches:
                pushes += self._depth(stream, time_us, wanted)
        if time_us % _SECOND_US == 0:
            pushes += self._second(time_us, wanted)
        return pushes

    def _depth(self, stream: str, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        pushes: list[tuple[Key, str]] = []
        for batches in self._batches[stream]:
            batch = batches.take()
            if batch and (keys := self.keys(stream, wanted, batches.cut)):
                pushes += self.pushes(keys, self.depth_text(time_us // 1000, batch))
        return pushes

    def _second(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        pushes: list[tuple[Key, str]] = []
        if self._ticker_is_new and (keys := self.derived("ticker", wanted)) and (row := self.ticker(time_us // 1000)):
            pushes += self.pushes(keys, frames.compact({"e": "24hrTicker", "E": time_us // 1000} | row))
        self._ticker_is_new = False
        return pushes + self._klines(time_us, wanted)

    def _klines(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Each closed candle once, also without a trade, and running ones while there are trades."""
        until_ms, pushes = self.board.candles_until_ms, []
        for stream, bar in frames.KLINES.items():
            if keys := self.derived(stream, wanted):
                open_ms, period_us = bar.open_ms(until_ms), _SECOND_US if bar is SECOND else _KLINE_US
                closed = self._candle(stream, open_ms - bar.length_ms) if open_ms == until_ms else None
                is_due = time_us % period_us == 0 and self._traded_us >= time_us - period_us
                running = self.board.candles.candle(bar, open_ms) if is_due else None
                for candle in (closed, running):
                    if candle is not None:
                        text = self.kline_text(time_us // 1000, bar, candle, candle is closed)
                        pushes += self.pushes(keys, text)
        return pushes

    def _candle(self, stream: str, open_ms: int) -> Candle | None:
        history = self.board.candles.history(frames.KLINES[stream], open_ms, open_ms)
        return history[0] if history else None

    # -- the form of the events -----------------------------------------------------------------------------------

    def depth_text(self, event_ms: int, batch: Sequence[BookChange]) -> str:
        """An update with the changes of a batch."""
        bids, asks = newest(change.bids for change in batch), newest(change.asks for change in batch)
        first, last = batch[0].previous + 1, batch[-1].sequence
        return frames.depth_update(event_ms, self.name, first, last, bids[::-1], asks)

    def recorded_depth_text(self, change: BookChange) -> str:
        """An update as recorded."""
        numbers = change.previous + 1, change.sequence
        return frames.depth_update(change.ts_ms, self.name, *numbers, change.bids, change.asks)

    def top_text(self, change: BookChange, bid: Level, ask: Level) -> str:
        """The best levels after a change."""
        return frames.book_ticker(self.name, change.sequence, bid, ask)

    def kline_text(self, event_ms: int, bar: Bar, candle: Candle, is_closed: bool) -> str:
        """A candle."""
        return frames.kline(event_ms, self.name, bar, candle, is_closed)

    # -- current state --------------------------------------------------------------------------------------------

    def ticker(self, now_ms: int) -> dict[str, object] | None:
        """The statistics of the last 24 hours, or None before trades and book are known."""
        last, book = self.board.last, self.board.book
        if last is None or not len(book.bids) or not len(book.asks):
            return None
        day, bid, ask = self.board.day.candle(), book.bids.best(1)[0], book.asks.best(1)[0]
        start, end = Decimal(day.open), Decimal(day.close)
        mean = day.turnover[1] / day.volume if day.volume else start
        return {
            "s": self.name, "p": frames.rounded(end - start), "P": f"{(end - start) / start * 100:.3f}",
            "w": frames.rounded(mean), "x": frames.eight(day.open), "c": frames.eight(day.close),
            "Q": frames.eight(last.size), "b": frames.eight(bid.price), "B": frames.eight(bid.size),
            "a": frames.eight(ask.price), "A": frames.eight(ask.size), "o": frames.eight(day.open),
            "h": frames.eight(day.high), "l": frames.eight(day.low), "v": frames.rounded(day.volume),
            "q": frames.rounded(day.turnover[1]), "O": now_ms - 86_400_000, "C": now_ms, "F": day.first_id,
            "L": day.last_id, "n": frames.fills(day),
        }  # fmt: skip

    # -- variants -------------------------------------------------------------------------------------------------

    def keys(self, stream: str, wanted: Container[Key], cut: int = 0) -> list[Key]:
        """The wanted variants of a stream."""
        keys = (Key(stream, self.board.instrument.id, variant(is_combined, cut)) for is_combined in (False, True))
        return [key for key in keys if key in wanted]

    def derived(self, stream: str, wanted: Container[Key]) -> list[Key]:
        """The wanted variants of a stream that is not replayed as recorded."""
        return [] if stream in self._recorded else self.keys(stream, wanted)

    def pushes(self, keys: Iterable[Key], text: str) -> list[tuple[Key, str]]:
        return [(key, self._form(key, text)) for key in keys]

    def _form(self, key: Key, text: str) -> str:
        is_combined = key.variant.startswith("combined")
        return frames.combined(f"{self.name.lower()}@{key.channel}", text) if is_combined else text


def newest(sides: Iterable[Iterable[Level]]) -> list[Level]:
    """The newest size of each level, lowest price first."""
    by_key = {level.key: level for side in sides for level in side}
    return [by_key[key] for key in sorted(by_key)]
