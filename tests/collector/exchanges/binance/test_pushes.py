"""Records made from Binance's events."""

import json
from typing import Any

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.binance import pushes
from market_collector.exchanges.binance.channels import BinanceCodec, channel
from market_collector.exchanges.interface import Batch
from market_collector.model.events import Candle, Level, Orderbook, Ticker, Trade
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BNB-BTC", DataType.TICKER)
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1m")
TRADE = {
    "e": "trade", "E": 1789295134226, "s": "BTCUSDT", "t": 388510, "p": "76745.19000000", "q": "0.00065000",
    "T": 1789295134225, "m": False, "M": True,
}  # fmt: skip
DEPTH = {
    "e": "depthUpdate", "E": 1633998512068, "s": "BTCUSDT", "U": 499869750, "u": 499869752,
    "b": [["0.35130000", "6195.00000000"], ["0.35120000", "0.00000000"]], "a": [],
}  # fmt: skip


def batch(stream: Stream, event: Any, indent: int | None = None) -> Batch:
    separators = (",", ":") if indent is None else None
    text = json.dumps({"stream": channel(stream), "data": event}, separators=separators, indent=indent)
    (message,) = BinanceCodec([stream]).read(text.encode(), 7)
    assert isinstance(message, Batch)
    return message


@pytest.mark.parametrize(("is_buyer_maker", "side"), [(False, "buy"), (True, "sell")])
def test_trade_has_the_taker_s_side_and_the_time_of_the_trade(is_buyer_maker: bool, side: Any) -> None:
    assert batch(TRADES, TRADE | {"m": is_buyer_maker}).records == [
        Trade(
            "binance", "BTC-USDT", 1789295134225_000_000, 7, "388510", "388510", 1, side, "76745.19000000", "0.00065000"
        )
    ]


@pytest.mark.parametrize("indent", [None, 1])
def test_book_update_follows_the_state_before_its_first_id(indent: int | None) -> None:
    levels = [Level("0.35130000", "6195.00000000"), Level("0.35120000", "0")]
    update = Orderbook(
        "binance", "BTC-USDT", 1633998512068_000_000, 7, "update", levels, [], 499869752, 499869749
    )  # fmt: skip
    assert batch(BOOK, DEPTH, indent).records == [update]


@pytest.mark.parametrize("amount", ["0", "0.0", "0.00", "0.000000000000"])
def test_every_zero_amount_deletes_a_level(amount: str) -> None:
    (update,) = batch(BOOK, DEPTH | {"a": [["2.00000000", amount]]}).records
    assert isinstance(update, Orderbook)
    assert update.asks == [Level("2.00000000", "0")]


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        (TRADES, TRADE | {"p": "1e3"}),
        (TRADES, TRADE | {"q": "-1"}),
        (TRADES, TRADE | {"t": -1}),
        (TRADES, TRADE | {"e": "aggTrade"}),
        (BOOK, DEPTH | {"a": [["NaN", "1.00000000"]]}),
        (BOOK, DEPTH | {"b": [["1.00000000", "1e-8"]]}),
        (BOOK, DEPTH | {"b": [["1.00000000"]]}),
        (BOOK, DEPTH | {"U": 499869753}),
        (BOOK, DEPTH | {"e": "trade"}),
    ],
)
def test_malformed_value_is_not_published(stream: Stream, event: Any) -> None:
    with pytest.raises(FrameError) as raised:
        batch(stream, event)
    assert raised.value.stream == stream


def ticker_event() -> Any:
    (frame,) = [each for each in recordings.received(recordings.BINANCE_CONTROL) if "24hrTicker" in each.text]
    return json.loads(frame.text)


def test_ticker_has_the_last_trade_id_as_evidence() -> None:
    assert batch(TICKER, ticker_event()) == Batch(
        TICKER,
        [
            Ticker(
                "binance", "BNB-BTC", 1672515782136_000_000, 7, "0.0024", "10", "0.0026", "100", "0.0025", "10",
                "0.0010", "0.0025", "0.0010", "10000", "18",
            )
        ],
        18150,
    )  # fmt: skip


def test_ticker_price_of_zero_stands_for_none() -> None:
    nothing = dict.fromkeys("bBaAcQohlvq", "0.00000000") | {"F": -1, "L": -1, "n": 0}
    found = batch(TICKER, ticker_event() | nothing)
    (ticker,) = found.records
    assert isinstance(ticker, Ticker)
    assert (ticker.bid, ticker.bid_amount, ticker.ask, ticker.last, ticker.high_24h) == (None,) * 5
    assert (ticker.volume_24h, found.evidence) == ("0.00000000", -1)


def kline(**fields: Any) -> Any:
    (frame,) = recordings.received(recordings.BINANCE_KLINE)
    event = json.loads(frame.text)
    return event | {"k": event["k"] | fields}


def test_candle_opens_at_its_time_and_counts_its_fills() -> None:
    assert batch(CANDLE, kline()).records == [
        Candle(
            "binance", "BTC-USDT", 1787380868016_000_000, 7, "1m", 1787380860000_000_000, "77560.64000000",
            "77568.87000000", "77539.56000000", "77539.56000000", "2.89566000", "224590.84896810", 899, closed=False,
        )
    ]  # fmt: skip


def test_candle_without_a_trade_is_closed_like_any_other() -> None:
    (candle,) = batch(CANDLE, kline(f=-1, L=-1, n=0, v="0.00000000", x=True)).records
    assert isinstance(candle, Candle)
    assert (candle.closed, candle.trades) == (True, 0)


def test_candle_of_another_interval_is_not_published() -> None:
    with pytest.raises(FrameError, match="a candle of '5m'"):
        batch(CANDLE, kline(i="5m"))


def test_usual_frame_with_deletions_is_checked_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The levels are not looked at one by one."""
    monkeypatch.setattr(pushes, "checked_levels", None)
    (update,) = batch(BOOK, DEPTH).records
    assert isinstance(update, Orderbook)
    assert update.bids == [Level("0.35130000", "6195.00000000"), Level("0.35120000", "0")]
