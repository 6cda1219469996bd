"""Every recorded Bybit frame passes through the core, and books agree with an independent rebuild."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import recordings
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.bybit.names import LINEAR, SPOT
from market_collector.feed.effects import Effect, Emit, Reconnect, Replace, Warn
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Candle, Gap, Orderbook, Record, Ticker, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

Sides = dict[str, dict[Decimal, Decimal]]
SYMBOLS = {
    (SPOT, "BTCUSDT"): "BTC-USDT", (SPOT, "ETHUSDT"): "ETH-USDT", (LINEAR, "BTCUSDT"): "BTC-USDT-PERP",
    (LINEAR, "XRPUSDT"): "XRP-USDT-PERP", (LINEAR, "LTCUSDT"): "LTC-USDT-PERP", (LINEAR, "BTCPERP"): "BTC-USDC-PERP",
}  # fmt: skip
BOOKS = [
    (recordings.BYBIT_ARCHIVE, "orderbook.500.XRPUSDT"),
    (recordings.BYBIT_BOOK, "orderbook.50.BTCUSDT"),
    (recordings.BYBIT_TESTNET, "orderbook.50.BTCUSDT"),
    (recordings.BYBIT_2023, "orderbook.50.BTCPERP"),
    (recordings.BYBIT_RESTART, "orderbook.50.ETHUSDT"),
]


def stream_of(category: str, topic: str) -> Stream | None:
    """Ours; linear tickers need no book of one level."""
    kind, *middle, native = topic.split(".")
    symbol = SYMBOLS[category, native]
    match kind, middle:
        case "publicTrade", _:
            return Stream(symbol, DataType.TRADE)
        case "kline", _:
            return Stream(symbol, DataType.CANDLE, "1m")
        case "tickers", _:
            return Stream(symbol, DataType.TICKER)
        case "orderbook", ["1"]:
            return Stream(symbol, DataType.TICKER) if category == SPOT else None
    return Stream(symbol, DataType.ORDERBOOK)


def at(number: int) -> Moment:
    return Moment(1000.0 + number / 10, 1_790_000_000_000_000_000 + number * 100_000_000)


class Replayed:
    """A feed with the received frames of a file, 100 ms apart."""

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        self.others: list[Effect] = []
        frames = [(frame, json.loads(frame.text)) for frame in recordings.received(path)]
        category = frames[0][0].url.rpartition("/")[2]
        topics = [message["topic"] for _, message in frames if "topic" in message]
        wanted = list(dict.fromkeys(stream for each in topics if (stream := stream_of(category, each)) is not None))
        depth = next((int(each.split(".")[1]) for each in topics if each.count(".") == 2 and ".1." not in each), 50)
        self.ledger = Ledger("bybit", wanted, 60.0, at(0), book_rule=Bybit.books, has_dense_trade_ids=False)
        feed = Feed(category, Bybit(), wanted, self.ledger, ping_interval_s=20.0, book_depth=depth)
        self._keep(feed.opened(at(0)))
        for number, (frame, message) in enumerate(frames):
            self._keep(feed.woken(at(number)))
            if "topic" not in message or stream_of(category, message["topic"]) is not None:
                self._keep(feed.received(frame.bytes, at(number)))

    def _keep(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Emit):
                self.records += effect.records
            else:
                self.others.append(effect)

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]


def rebuilt(path: Path, topic: str) -> tuple[Sides, int]:
    """Book and number at the end by the steps of Bybit's documentation, in the plainest way."""
    book: Sides = {"b": {}, "a": {}}
    last = 0
    for frame in recordings.received(path):
        message = json.loads(frame.text)
        if message.get("topic") != topic:
            continue
        data = message["data"]
        if message["type"] == "snapshot":
            book = {"b": {}, "a": {}}
        else:
            assert data["u"] == last + 1
        last = data["u"]
        for side, levels in book.items():
            for price, amount in data[side]:
                levels[Decimal(price)] = Decimal(amount)
        book = {side: {price: amount for price, amount in levels.items() if amount} for side, levels in book.items()}
    return book, last


def published(records: list[Orderbook]) -> Sides:
    """The book that a reader of our records ends with."""
    book: Sides = {"b": {}, "a": {}}
    sequence = None
    for record in records:
        if record.action == "snapshot":
            book = {"b": {}, "a": {}}
        else:
            assert record.previous_sequence == sequence
        sequence = record.sequence
        for side, levels in (("b", record.bids), ("a", record.asks)):
            for level in levels:
                book[side][Decimal(level.price)] = Decimal(level.amount)
                if level.amount == "0":
                    del book[side][Decimal(level.price)]
    return book


@pytest.mark.parametrize(("path", "topic"), BOOKS, ids=lambda each: each.stem[:12] if isinstance(each, Path) else each)
def test_books_agree_with_an_independent_rebuild(path: Path, topic: str) -> None:
    records, (expected, last) = Replayed(path).of(Orderbook), rebuilt(path, topic)
    assert records[0].action == "snapshot"
    assert (records[-1].sequence, published(records)) == (last, expected)


@pytest.mark.parametrize("path", sorted(recordings.BYBIT.glob("*_2*.jsonl")), ids=lambda path: path.stem[:24])
def test_nothing_of_the_recordings_is_unreadable(path: Path) -> None:
    replayed = Replayed(path)
    assert replayed.records
    assert (replayed.ledger.unreadable_frames, replayed.ledger.resyncs, replayed.ledger.gaps.detected) == (0, 0, 0)
    assert not [effect for effect in replayed.others if isinstance(effect, Reconnect | Replace)]


def test_restart_of_the_service_is_a_snapshot_without_a_gap() -> None:
    replayed = Replayed(recordings.BYBIT_RESTART)
    assert [(book.action, book.sequence) for book in replayed.of(Orderbook)] == [
        ("snapshot", 500),
        ("update", 501),
        ("snapshot", 1),
        ("update", 2),
    ]
    assert not replayed.of(Gap)


def test_each_recorded_trade_is_published_once() -> None:
    for path in (recordings.BYBIT_TESTNET, recordings.BYBIT_SNIPPETS, recordings.BYBIT_SPOT, recordings.BYBIT_2023):
        messages = [json.loads(frame.text) for frame in recordings.received(path)]
        ids = [row["i"] for each in messages if "publicTrade" in each.get("topic", "") for row in each["data"]]
        trades = Replayed(path).of(Trade)
        assert [trade.trade_id for trade in trades] == ids
        assert all(trade.side in ("buy", "sell") for trade in trades)
    assert len(ids) == 1


def test_recorded_deltas_of_a_linear_ticker_are_merged() -> None:
    fields: dict[str, str] = {}
    expected = []
    names = ("bid1Price", "bid1Size", "ask1Price", "ask1Size", "lastPrice", "volume24h")
    for frame in recordings.received(recordings.BYBIT_LINEAR):
        message = json.loads(frame.text)
        if "topic" in message:
            fields |= message["data"]
            expected.append(tuple(fields[name] for name in names))
    tickers = [
        (each.bid, each.bid_amount, each.ask, each.ask_amount, each.last, each.volume_24h)
        for each in Replayed(recordings.BYBIT_LINEAR).of(Ticker)
    ]
    assert len(tickers) > 300
    assert set(tickers) == set(expected)
    assert tickers[-1] == expected[-1]


def test_recorded_candles_are_published() -> None:
    candles = Replayed(recordings.BYBIT_KLINE).of(Candle)
    assert [(candle.volume, candle.closed) for candle in candles] == [("1.01673", False), ("1.017302", False)]
    assert candles[0].quote_volume == "65173.1079222"


def test_refused_request_of_the_recording_is_a_warning() -> None:
    """Its topic is not one of ours, so it is about no stream."""
    warnings = [each for each in Replayed(recordings.BYBIT_TESTNET).others if isinstance(each, Warn)]
    assert ["Invalid symbol :[orderbook.50.NOSUCHSYM]" in each.message for each in warnings] == [True]
