"""Creates the events of Binance's streams.

Raw connections get events, combined ones get them wrapped: two variants of a stream. Batches of depth updates are cut
in `CUTS` ways, because the servers of the exchange cut them independently. Variants without subscribers are not
encoded.
"""

from collections.abc import Container, Iterable
from decimal import Decimal
from typing import Final

from market_simulator.dialects.binance import frames
from market_simulator.dialects.binance.recording import replayed
from market_simulator.engine.candles import SECOND, Candle
from market_simulator.engine.events import BookChange, Event, Key, Level, RecordedRow, Tick, Trades
from market_simulator.engine.venue import Board, Venue

CUTS: Final = 3
_SECOND_US: Final = 1_000_000
_KLINE_US: Final = 2_000_000  # period of running candles, except for those of a second


def variant(is_combined: bool, cut: int) -> str:
    """The variant of depth streams on a connection. Those of other streams have the cut 0."""
    return f"{'combined' if is_combined else 'raw'}/{cut}"


class Publications:
    """The events of all instruments."""

    def __init__(self, venue: Venue) -> None:
        self.of = {name: Publisher(board, venue) for name, board in venue.boards.items()}

    def publish(self, event: Event, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The messages of the streams in `wanted` that result from an event, which the venue has applied."""
        match event:
            case Tick():
                return [push for publisher in self.of.values() for push in publisher.tick(event.time_us, wanted)]
            case Trades():
                return self.of[event.instrument].trades(event, wanted)
            case BookChange():
                return self.of[event.instrument].book_change(event, wanted)
            case RecordedRow():
                return self.of[event.instrument].recorded(event, wanted)


class _Batches:
    """The changes of a book that wait for the next depth update, cut in one way.

    A cut of n leaves the newest n changes to the next update, if there are older ones.
    """

    def __init__(self, cut: int) -> None:
        self.cut = cut
        self._waiting: list[BookChange] = []

    def add(self, change: BookChange) -> None:
        self._waiting.append(change)

    def take(self) -> list[BookChange]:
        """Remove and return the changes of the next update."""
        count = len(self._waiting) - self.cut if len(self._waiting) > self.cut else len(self._waiting)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch


class Publisher:
    """The events of one instrument."""

    def __init__(self, board: Board, venue: Venue) -> None:
        self._board = board
        self._recorded = {key.channel for key in venue.recorded if key.instrument == board.instrument.id}
        self._depths = {key.channel for key in venue.books if key.instrument == board.instrument.id}
        self._name = frames.native(board.instrument.id)
        derived = frames.DEPTHS.keys() - self._depths
        self._batches = {stream: [_Batches(cut) for cut in range(CUTS)] for stream in sorted(derived)}
        self._top: tuple[Level, ...] = ()
        self._ticker_is_new = False
        self._traded_us = -1  # time of the newest trade

    # -- events ---------------------------------------------------------------------------------------------------

    def trades(self, event: Trades, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """One event for each fill."""
        self._ticker_is_new, self._traded_us = True, event.time_us
        if not (keys := self._keys("trade", wanted)):
            return []
        texts = [
            frames.trade(
                event.time_us // 1000, self._name, row.first_id + place, row.price, size, row.ts_ms, row.side == "sell"
            )
            for row in event.rows
            for place, size in enumerate(row.sizes)
        ]
        return [push for text in texts for push in self._pushes(keys, text)]

    def book_change(self, change: BookChange, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Note the change for the next depth updates, and publish recorded ones and new best levels."""
        pushes: list[tuple[Key, str]] = []
        if not change.is_no_change and not change.is_snapshot:
            for ways in self._batches.values():
                for batches in ways:
                    batches.add(change)
            pushes = self._recorded_depths(change, wanted)
        book = self._board.book
        top = (*book.bids.best(1), *book.asks.best(1))
        if top == self._top or len(top) < 2:
            return pushes
        self._top, self._ticker_is_new = top, True
        keys = self._derived("bookTicker", wanted)
        return pushes + (self._pushes(keys, frames.book_ticker(self._name, change.sequence, *top)) if keys else [])

    def _recorded_depths(self, change: BookChange, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The update as recorded, for connections of all cuts."""
        keys = [key for stream in self._depths for cut in range(CUTS) for key in self._keys(stream, wanted, cut)]
        numbers = change.previous + 1, change.sequence
        return self._pushes(keys, frames.depth_update(change.ts_ms, self._name, *numbers, change.bids, change.asks))

    def recorded(self, event: RecordedRow, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """An event as recorded."""
        keys = self._keys(event.channel, wanted)
        return self._pushes(keys, replayed(event)) if keys else []

    # -- the regular beat -----------------------------------------------------------------------------------------

    def tick(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Every 100 ms or 1 s depth updates, every second tickers and closed candles."""
        pushes: list[tuple[Key, str]] = []
        for stream, period_us in frames.DEPTHS.items():
            if time_us % period_us == 0 and stream in self._batches:
                pushes += self._depth(stream, time_us, wanted)
        if time_us % _SECOND_US == 0:
            pushes += self._second(time_us, wanted)
        return pushes

    def _depth(self, stream: str, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        pushes: list[tuple[Key, str]] = []
        for batches in self._batches[stream]:
            batch = batches.take()
            if batch and (keys := self._keys(stream, wanted, batches.cut)):
                bids, asks = (_newest(change.bids for change in batch), _newest(change.asks for change in batch))
                first, last = batch[0].previous + 1, batch[-1].sequence
                text = frames.depth_update(time_us // 1000, self._name, first, last, bids[::-1], asks)
                pushes += self._pushes(keys, text)
        return pushes

    def _second(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        pushes: list[tuple[Key, str]] = []
        if self._ticker_is_new and (keys := self._derived("ticker", wanted)) and (row := self.ticker(time_us // 1000)):
            pushes += self._pushes(keys, frames.compact({"e": "24hrTicker", "E": time_us // 1000} | row))
        self._ticker_is_new = False
        return pushes + self._klines(time_us, wanted)

    def _klines(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Each closed candle once, also without a trade, and running ones while there are trades."""
        until_ms, pushes = self._board.candles_until_ms, []
        for stream, bar in frames.KLINES.items():
            if keys := self._derived(stream, wanted):
                open_ms, period_us = bar.open_ms(until_ms), _SECOND_US if bar is SECOND else _KLINE_US
                closed = self._candle(stream, open_ms - bar.length_ms) if open_ms == until_ms else None
                is_due = time_us % period_us == 0 and self._traded_us >= time_us - period_us
                running = self._board.candles.candle(bar, open_ms) if is_due else None
                for candle in (closed, running):
                    if candle is not None:
                        text = frames.kline(time_us // 1000, self._name, bar, candle, candle is closed)
                        pushes += self._pushes(keys, text)
        return pushes

    def _candle(self, stream: str, open_ms: int) -> Candle | None:
        history = self._board.candles.history(frames.KLINES[stream], open_ms, open_ms)
        return history[0] if history else None

    # -- current state --------------------------------------------------------------------------------------------

    def ticker(self, now_ms: int) -> dict[str, object] | None:
        """The statistics of the last 24 hours, or None before trades and book are known."""
        last, book = self._board.last, self._board.book
        if last is None or not len(book.bids) or not len(book.asks):
            return None
        day, bid, ask = self._board.day.candle(), book.bids.best(1)[0], book.asks.best(1)[0]
        start, end = Decimal(day.open), Decimal(day.close)
        mean = day.turnover[1] / day.volume if day.volume else start
        return {
            "s": self._name, "p": frames.rounded(end - start), "P": f"{(end - start) / start * 100:.3f}",
            "w": frames.rounded(mean), "x": frames.eight(day.open), "c": frames.eight(day.close),
            "Q": frames.eight(last.size), "b": frames.eight(bid.price), "B": frames.eight(bid.size),
            "a": frames.eight(ask.price), "A": frames.eight(ask.size), "o": frames.eight(day.open),
            "h": frames.eight(day.high), "l": frames.eight(day.low), "v": frames.rounded(day.volume),
            "q": frames.rounded(day.turnover[1]), "O": now_ms - 86_400_000, "C": now_ms, "F": day.first_id,
            "L": day.last_id, "n": frames.fills(day),
        }  # fmt: skip

    # -- variants -------------------------------------------------------------------------------------------------

    def _keys(self, stream: str, wanted: Container[Key], cut: int = 0) -> list[Key]:
        """The wanted variants of a stream."""
        keys = (Key(stream, self._board.instrument.id, variant(is_combined, cut)) for is_combined in (False, True))
        return [key for key in keys if key in wanted]

    def _derived(self, stream: str, wanted: Container[Key]) -> list[Key]:
        """The wanted variants of a stream that is not replayed as recorded."""
        return [] if stream in self._recorded else self._keys(stream, wanted)

    def _pushes(self, keys: Iterable[Key], text: str) -> list[tuple[Key, str]]:
        return [(key, self._form(key, text)) for key in keys]

    def _form(self, key: Key, text: str) -> str:
        is_combined = key.variant.startswith("combined")
        return frames.combined(f"{self._name.lower()}@{key.channel}", text) if is_combined else text


def _newest(sides: Iterable[Iterable[Level]]) -> list[Level]:
    """The newest size of each level, lowest price first."""
    by_key = {level.key: level for side in sides for level in side}
    return [by_key[key] for key in sorted(by_key)]
