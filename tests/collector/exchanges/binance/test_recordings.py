"""Every recorded Binance frame passes through the core, and books agree with an independent rebuild."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

import recordings
from market_collector.exchanges.binance.exchange import MARKET, Binance
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, Replace, Warn
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Candle, Gap, Orderbook, Record, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

TYPES = {"trade": DataType.TRADE, "depth@100ms": DataType.ORDERBOOK, "kline_1m": DataType.CANDLE}
"""Ours; the recordings also have bookTicker and aggTrade."""
SYMBOLS = {"nknusdt": "NKN-USDT", "blzeth": "BLZ-ETH", "btcusdt": "BTC-USDT"}
SIDES = ("bids", "asks")
Sides = dict[str, dict[Decimal, Decimal]]


def stream_of(name: str) -> Stream | None:
    symbol, _, kind = name.partition("@")
    return Stream(SYMBOLS[symbol], TYPES[kind], "1m" * (kind == "kline_1m")) if kind in TYPES else None


def at(number: int) -> Moment:
    return Moment(1000.0 + number / 10, 1_790_000_000_000_000_000 + number * 100_000_000)


class Replayed:
    """A feed with the frames of a combined connection, 100 ms apart, with the recorded answers of REST."""

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        self.others: list[Effect] = []
        self._asked: dict[str, Fetch] = {}
        frames = recordings.received(path)
        names = [json.loads(frame.text)["stream"] for frame in frames if frame.url.startswith("wss:")]
        wanted = list(dict.fromkeys(stream for stream in map(stream_of, names) if stream is not None))
        self.ledger = Ledger("binance", wanted, 60.0, at(0), book_rule=Binance.books)
        self.feed = Feed(MARKET, Binance(), wanted, self.ledger, ping_interval_s=20.0)
        self._keep(self.feed.opened(at(0)))
        self._keep(self.feed.received(b'{"result":null,"id":1}', at(0)))
        for number, frame in enumerate(frames):
            self._keep(self.feed.woken(at(number)))
            self._take(frame, at(number))

    def _take(self, frame: recordings.Frame, now: Moment) -> None:
        if frame.url.startswith("wss:"):
            if stream_of(json.loads(frame.text)["stream"]) is not None:
                self._keep(self.feed.received(frame.bytes, now))
        elif fetch := self._asked.pop(frame.url.partition("symbol=")[2].partition("&")[0], None):
            self._keep(self.feed.answered(fetch, frame.bytes, now))

    def _keep(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Emit):
                self.records += effect.records
            elif isinstance(effect, Fetch) and effect.question is Question.SNAPSHOT:
                assert effect.stream is not None
                self._asked[effect.stream.symbol.replace("-", "")] = effect
            else:
                self.others.append(effect)

    def books(self, symbol: str) -> list[Orderbook]:
        return [record for record in self.records if isinstance(record, Orderbook) and record.symbol == symbol]


def apply(book: Sides, side: str, price: str, amount: str) -> None:
    if Decimal(amount) == 0:
        book[side].pop(Decimal(price), None)
    else:
        book[side][Decimal(price)] = Decimal(amount)


def rebuilt(path: Path, name: str) -> tuple[Sides, int]:
    """Book and update id at the end by the steps of Binance's documentation, in the plainest way."""
    waiting: list[dict[str, object]] = []
    book: Sides = {}
    last = 0
    for frame in recordings.received(path):
        message = json.loads(frame.text)
        if f"depth?symbol={name.upper()}" in frame.url:
            book = {side: {} for side in SIDES}
            last = message["lastUpdateId"]
            for side in SIDES:
                for price, amount in message[side]:
                    apply(book, side, price, amount)
        elif message.get("stream") == f"{name}@depth@100ms":
            waiting.append(message["data"])
        while book and waiting:
            event = waiting.pop(0)
            if event["u"] <= last:  # type: ignore[operator]
                continue
            assert event["U"] <= last + 1  # type: ignore[operator]
            for side, field in zip(SIDES, "ba", strict=True):
                for price, amount in event[field]:  # type: ignore[attr-defined]
                    apply(book, side, price, amount)
            last = event["u"]  # type: ignore[assignment]
    return book, last


def published(records: list[Orderbook]) -> Sides:
    """The book that a reader of our records ends with."""
    book: Sides = {side: {} for side in SIDES}
    sequence = None
    for record in records:
        if record.action == "snapshot":
            book = {side: {} for side in SIDES}
        else:
            assert record.previous_sequence == sequence
        sequence = record.sequence
        for side, levels in (("bids", record.bids), ("asks", record.asks)):
            for level in levels:
                apply(book, side, level.price, level.amount)
    return book


def within(book: Sides, other: Sides) -> Sides:
    """The levels of a book between the worst prices of another one."""
    low, high = min(other["bids"]), max(other["asks"])
    return {
        "bids": {price: amount for price, amount in book["bids"].items() if price >= low},
        "asks": {price: amount for price, amount in book["asks"].items() if price <= high},
    }


@pytest.mark.parametrize("name", ["nknusdt", "blzeth"])
def test_books_agree_with_an_independent_rebuild(name: str) -> None:
    replayed = Replayed(recordings.BINANCE_2021)
    records, (expected, last) = replayed.books(SYMBOLS[name]), rebuilt(recordings.BINANCE_2021, name)
    assert records[0].action == "snapshot"
    assert (records[-1].sequence, len(records) > 9) == (last, True)
    assert published(records) == within(expected, published(records))
    assert not [record for record in replayed.records if isinstance(record, Gap)]


def test_nothing_of_the_recordings_is_unreadable() -> None:
    for path in (recordings.BINANCE_2021, recordings.BINANCE_TESTNET):
        replayed = Replayed(path)
        assert (replayed.ledger.unreadable_frames, replayed.ledger.resyncs, replayed.ledger.gaps.detected) == (0, 0, 0)
        assert not [effect for effect in replayed.others if isinstance(effect, Reconnect | Replace)]


def test_snapshot_before_the_first_update_is_requested_again() -> None:
    """The testnet's snapshot 1801494 is older than the first update, which starts with 1801512."""
    replayed = Replayed(recordings.BINANCE_TESTNET)
    (warning,) = [effect for effect in replayed.others if isinstance(effect, Warn)]
    assert "it is older than the updates: 1801494, then 1801511" in warning.message
    assert replayed.books("BTC-USDT") == []


def test_recorded_trades_and_candles_are_all_published() -> None:
    texts = [frame.text for frame in recordings.received(recordings.BINANCE_TESTNET)]
    trades = [record for record in Replayed(recordings.BINANCE_TESTNET).records if isinstance(record, Trade)]
    assert len(trades) == sum("@trade" in text for text in texts) > 5
    texts = [frame.text for frame in recordings.received(recordings.BINANCE_2021)]
    candles = [record for record in Replayed(recordings.BINANCE_2021).records if isinstance(record, Candle)]
    assert len(candles) == sum("@kline_1m" in text for text in texts) > 0
