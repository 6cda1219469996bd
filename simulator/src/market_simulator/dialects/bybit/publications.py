"""Creates the messages of Bybit's public topics.

They depend only on the events and not on the clients. Without subscribers the numbers of a topic continue, and only
the encoding is left out.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Any, Final

from market_simulator.dialects.bybit import frames, tickers
from market_simulator.dialects.bybit.books import BookMessage, BookTopic
from market_simulator.dialects.bybit.frames import TradeLine
from market_simulator.dialects.bybit.recording import merged, replayed
from market_simulator.dialects.bybit.symbols import SPOT, listing_of
from market_simulator.dialects.bybit.tickers import Direction
from market_simulator.engine.contracts import Contract
from market_simulator.engine.events import BookChange, Key, RecordedRow, Trades
from market_simulator.engine.venue import Board, Venue

_SECOND_US: Final = 1_000_000
_LIQUIDATIONS_US: Final = 500_000
_TICKER_US: Final = 50_000  # smallest period of spot tickers; those of linear come every 100 ms


class Publisher:
    """The messages of one instrument."""

    def __init__(self, board: Board, venue: Venue) -> None:
        symbol = board.instrument.id
        self.listing = listing_of(symbol)
        self.books = _books(symbol, venue)
        self._board = board
        self._keys = {channel: Key(channel, symbol) for channel in (*frames.CHANNELS, frames.LIQUIDATIONS, *self.books)}
        self._recorded = venue.recorded
        self._states: dict[str, dict[str, Any]] = {}  # whole states of recorded streams
        self._direction = Direction()
        self._sequence = 0  # of the newest trade or change
        self._ticker: dict[str, str] = {}  # the fields of linear, as published
        self._ticker_us = 0
        self._ticker_is_new = self._has_traded = False
        self._facts: tuple[object, ...] = ()  # the newest of each kind, as published
        self._liquidations = 0  # published ones

    # -- events ---------------------------------------------------------------------------------------------------

    def trades(self, event: Trades, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The fills, in messages of at most 1,024."""
        lines = [
            TradeLine(row, place, self._direction.move(row.price))
            for row in event.rows
            for place in range(len(row.sizes))
        ]
        self._sequence = event.rows[-1].sequence
        self._ticker_is_new = self._has_traded = True
        key, most = self._keys[frames.TRADES], frames.TRADES_A_MESSAGE
        parts = [lines[at : at + most] for at in range(0, len(lines), most)] if key in wanted else []
        texts = [frames.trades(self.listing, key.instrument, event.time_us // 1000, part) for part in parts]
        return [(key, text) for text in texts] + self._spot_ticker(event.time_us, wanted)

    def book_change(self, change: BookChange, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The messages of the topics that are due, each with the differences of its window."""
        if change.is_no_change:
            return []
        self._sequence = change.sequence
        self._ticker_is_new = self._ticker_is_new or self.listing.category != SPOT
        return self._book_pushes([topic.changed(change, self._board.book) for topic in self.books.values()], wanted)

    def _book_pushes(self, found: Iterable[BookMessage | None], wanted: Container[Key]) -> list[tuple[Key, str]]:
        messages = [(self._keys[f"orderbook.{message.depth}"], message) for message in found if message is not None]
        return [(key, frames.orderbook(self.listing, message)) for key, message in messages if key in wanted]

    def recorded(self, event: RecordedRow, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """A message as recorded."""
        message = replayed(event)
        self._states[event.channel] = merged(self._states.get(event.channel), message)
        key = self._keys[event.channel]
        return [(key, frames.compact(message))] if key in wanted else []

    # -- the regular beat -----------------------------------------------------------------------------------------

    def tick(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Every 100 ms late books and tickers, and every second candles."""
        book = self._board.book
        found = [topic.due(time_us, book) or topic.repeated(time_us) for topic in self.books.values()]
        pushes = self._book_pushes(found, wanted) + self._spot_ticker(time_us, wanted)
        if self._board.contract is not None:
            pushes += self._contract(self._board.contract, time_us, wanted)
        return pushes + (self._klines(time_us, wanted) if time_us % _SECOND_US == 0 else [])

    def _spot_ticker(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        key, is_due = self._keys[frames.TICKERS], self._ticker_is_new and time_us - self._ticker_us >= _TICKER_US
        if self.listing.category != SPOT or not is_due or key in self._recorded:
            return []
        self._ticker_is_new, self._ticker_us = False, time_us
        return [(key, self._whole_ticker())] if key in wanted else []

    def _contract(self, contract: Contract, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The ticker of linear and, every 500 ms, all liquidations."""
        facts = (contract.marks.newest(), contract.interests.newest(), contract.rates.newest())
        self._ticker_is_new, self._facts = self._ticker_is_new or facts != self._facts, facts
        pushes = self._linear_ticker(time_us, wanted)
        if time_us % _LIQUIDATIONS_US:
            return pushes
        rows, self._liquidations = contract.liquidations.after(self._liquidations), contract.liquidations.count
        key = self._keys[frames.LIQUIDATIONS]
        if not rows or key not in wanted:
            return pushes
        return [*pushes, (key, frames.liquidations(self.listing, time_us // 1000, rows[::-1]))]

    def _linear_ticker(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        key = self._keys[frames.TICKERS]
        is_idle = not self._ticker_is_new or self._board.last is None
        if is_idle or key in self._recorded:
            return []
        self._ticker_is_new, self._ticker_us, before = False, time_us, self._ticker
        self._ticker = tickers.linear_row(self._board, self._direction.name)
        changed = {name: value for name, value in self._ticker.items() if before.get(name) != value}
        if key not in wanted or not changed:
            return []
        if not before:
            return [(key, self._whole_ticker())]
        return [(key, frames.linear_ticker(self.listing, "delta", time_us // 1000, self._sequence, changed))]

    def _whole_ticker(self) -> str:
        push_ms = self._ticker_us // 1000
        if self.listing.category == SPOT:
            return frames.spot_ticker(
                self.listing, push_ms, self._sequence, tickers.spot_row(self.listing, self._board)
            )
        return frames.linear_ticker(self.listing, "snapshot", push_ms, self._sequence, self._ticker)

    def _klines(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Each closed candle once, also without a trade, and the running one while there are trades."""
        has_traded, self._has_traded = self._has_traded, False
        pushes = []
        for channel in frames.KLINES:
            key = self._keys[channel]
            is_derived = key in wanted and key not in self._recorded
            if is_derived and (rows := self._candles(channel, has_traded)):
                pushes.append((key, frames.kline(self.listing, frames.KLINES[channel], time_us // 1000, rows)))
        return pushes

    def _candles(self, channel: str, has_traded: bool) -> Sequence[str]:
        """The rows of this second. Every second closed candle comes with the next one."""
        bar, until_ms = frames.KLINES[channel], self._board.candles_until_ms
        open_ms = bar.open_ms(until_ms)
        if open_ms != until_ms:
            return self._rows(channel, open_ms) if has_traded else []
        closed = self._rows(channel, open_ms - bar.length_ms)
        return [*closed, *self._rows(channel, open_ms)] if open_ms // bar.length_ms % 2 else closed

    def _rows(self, channel: str, open_ms: int) -> Sequence[str]:
        """The candle that opened at this time as a row, or none before the first trade."""
        bar, last = frames.KLINES[channel], self._board.last
        found = self._board.candles.history(bar, open_ms, open_ms)
        if not found or last is None:
            return []
        is_closed = open_ms + bar.length_ms <= self._board.candles_until_ms
        return [frames.kline_row(self.listing, bar, found[0], is_closed, max(last.ts_ms, open_ms))]

    # -- current state --------------------------------------------------------------------------------------------

    @property
    def direction(self) -> str:
        """The direction of the price of the newest trade."""
        return self._direction.name

    def present(self, key: Key) -> str | None:
        """The message that a new subscriber gets at once, or None. Trades and liquidations are never sent again."""
        if key in self._recorded:
            row = self._states.get(key.channel)
            return None if row is None else frames.compact(row)
        if topic := self.books.get(key.channel):
            message = topic.snapshot()
            return None if message is None else frames.orderbook(self.listing, message)
        if self._board.last is None or key.channel in (frames.TRADES, frames.LIQUIDATIONS):
            return None
        if bar := frames.KLINES.get(key.channel):
            now_ms = max(self._board.day.now_ms, self._board.candles_until_ms)
            return frames.kline(self.listing, bar, now_ms, self._rows(key.channel, bar.open_ms(now_ms)))
        return self._whole_ticker() if self._ticker or self.listing.category == SPOT else None


def _books(symbol: str, venue: Venue) -> dict[str, BookTopic]:
    """The topics of order books that are not replayed row by row, by their channels."""
    recorded = {key.channel: first for key, first in venue.books.items() if key.instrument == symbol}
    channels = {channel for channel in frames.BOOKS if Key(channel, symbol) not in venue.recorded} | recorded.keys()
    depths = {channel: int(channel.rpartition(".")[2]) for channel in sorted(channels)}
    return {channel: BookTopic(symbol, depth, recorded.get(channel)) for channel, depth in depths.items()}
