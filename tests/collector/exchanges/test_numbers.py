"""Every published number is a plain decimal, or null if it is absent. `okx/test_odd_fields.py` has OKX's spot data."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from market_collector.errors import FrameError
from market_collector.exchanges.binance.account import BinanceAccount
from market_collector.exchanges.binance.balances import whole_account
from market_collector.exchanges.binance.channels import BinanceCodec, channel
from market_collector.exchanges.binance.polls import BinancePolls
from market_collector.exchanges.binance.rest import BinanceRestApi, BinanceSnapshots
from market_collector.exchanges.bybit.balances import BybitPolls
from market_collector.exchanges.bybit.channels import BybitCodec
from market_collector.exchanges.bybit.recent import BybitRecent
from market_collector.exchanges.bybit.rest import BybitRestApi
from market_collector.exchanges.interface import AccountUpdate, Batch, Codec
from market_collector.exchanges.okx.exchange import Okx
from market_collector.model.streams import ACCOUNT, DataType, Stream
from odd_decimals import NOT_DECIMAL

Read = Callable[[bytes], Sequence[object]]
"""Returns the records of a frame or of an answer."""
PERPETUAL = "BTC-USDT-PERP"
DAY = dict.fromkeys("cQohlvq", "1.5") | {"e": "24hrTicker", "E": 1_788_000_000_000, "L": 7}
DEPTH = {"e": "depthUpdate", "E": 1_788_000_000_000, "b": [["5", "1"]], "a": [["6.5", "1"]]}
KLINE = dict.fromkeys("ochlvq", "1.5") | {"t": 1_788_000_000_000, "i": "1m", "n": 4, "x": True}
BYBIT_CANDLE = dict.fromkeys(("open", "close", "high", "low", "volume", "turnover"), "1.5")
BYBIT_DAY = dict.fromkeys(
    ("lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h"), "1.5"
)
BYBIT_BEST = dict.fromkeys(("bid1Price", "bid1Size", "ask1Price", "ask1Size"), "1.5")
BYBIT_BOOK = {"b": [["5", "1"]], "a": [["6.5", "1"]], "u": 7}


def stream(data_type: DataType, symbol: str = "BTC-USDT") -> Stream:
    return Stream(symbol, data_type, "1m" if data_type is DataType.CANDLE else "")


def binance(data_type: DataType, event: dict[str, Any], symbol: str = "BTC-USDT") -> tuple[Read, dict[str, Any]]:
    wanted = stream(data_type, symbol)
    return pushed(lambda: BinanceCodec([wanted])), {"stream": channel(wanted), "data": event}


def bybit(data_type: DataType, topic: str, data: Any, symbol: str = "BTC-USDT") -> tuple[Read, dict[str, Any]]:
    wanted = stream(data_type, symbol)
    category = "spot" if symbol == "BTC-USDT" else "linear"
    frame = {"topic": f"{topic}.BTCUSDT", "type": "snapshot", "ts": 1_788_000_000_000, "data": data}
    return pushed(lambda: BybitCodec(category, [wanted], 50)), frame


def okx(data_type: DataType, name: str, row: dict[str, Any]) -> tuple[Read, dict[str, Any]]:
    wanted = stream(data_type, PERPETUAL)
    kind = {"instId": "BTC-USDT-SWAP"} if data_type is not DataType.LIQUIDATION else {"instType": "SWAP"}
    route = Okx().route(wanted)
    return pushed(lambda: Okx().codec(route, [wanted])), {"arg": {"channel": name} | kind, "data": [row]}


def with_best_prices() -> BybitCodec:
    """Of a spot ticker, which is made of two topics."""
    codec = BybitCodec("spot", [stream(DataType.TICKER)], 50)
    _, frame = bybit(DataType.TICKER, "orderbook.1", BYBIT_BOOK)
    codec.read(encoded(frame), 7)
    return codec


def pushed(codec: Callable[[], Codec]) -> Read:
    def read(frame: bytes) -> Sequence[object]:
        (message,) = codec().read(frame, 7)
        assert isinstance(message, Batch)
        return message.records

    return read


def account_event(frame: bytes) -> Sequence[object]:
    (message,) = BinanceAccount([stream(DataType.BALANCE, ACCOUNT)]).read(frame, 7)
    assert isinstance(message, AccountUpdate)
    return message.balances


def polled(data_type: DataType) -> Read:
    """Binance's answers to regular requests."""

    def read(body: bytes) -> Sequence[object]:
        found = BinancePolls().read(stream(data_type, PERPETUAL), body, 7)
        assert isinstance(found, Batch)
        return found.records

    return read


def account(read: Callable[[Stream, bytes, int], AccountUpdate]) -> Read:
    return lambda body: read(stream(DataType.BALANCE, ACCOUNT), body, 7).balances


def history(api: BinanceRestApi | BybitRestApi, data_type: DataType, symbol: str = "BTC-USDT") -> Read:
    return lambda body: api.read_history(stream(data_type, symbol), body, 1_789_000_000_000_000_000).records


def listed(*rows: object) -> dict[str, Any]:
    """Bybit's answer to a request."""
    return {"retCode": 0, "retMsg": "OK", "result": {"list": list(rows)}, "time": 1_789_000_000_000}


BINANCE_ROW = {"id": 5, "price": "1.5", "qty": "2", "time": 1_788_000_000_000, "isBuyerMaker": True}
BINANCE_AGGREGATE = {"e": "aggTrade", "a": 5, "p": "1.5", "q": "2", "f": 6, "l": 7, "T": 1_788_000_000_000, "m": True}
BYBIT_ROW = {"execId": "u", "price": "5", "size": "1", "side": "Buy", "time": "1788000000000", "seq": "7"}
MAY_BE_NEGATIVE = {"walletBalance", "r", "fundingRate", "nextFundingRate", "settFundingRate"}
"""A debt, and rates of funding."""
MARK = dict.fromkeys("piPr", "1.5") | {"e": "markPriceUpdate", "E": 1_788_000_000_000, "T": 1_788_000_600_000}
ORDER = dict.fromkeys(("q", "p", "ap", "z"), "1.5") | {"S": "SELL", "T": 1_788_000_000_000}
RATE = {"fundingRate": "0.1", "nextFundingTime": "1788000600000", "fundingIntervalHour": "8"}
OKX_RATE = dict.fromkeys(("fundingRate", "nextFundingRate", "settFundingRate"), "0.1") | {
    "fundingTime": "1788000600000", "prevFundingTime": "1787900000000", "settState": "settled", "ts": "1788000000000",
}  # fmt: skip
DETAIL = {"bkPx": "1.5", "sz": "2", "side": "buy", "posSide": "long", "ts": "1788000000000"}
COINS = {"coin": "USDT", "walletBalance": "10", "locked": "2", "spotBorrow": "1"}
SOURCES: dict[str, tuple[tuple[Read, Any], set[str]]] = {
    "binance trade": (
        binance(
            DataType.TRADE, {"e": "trade", "t": 7, "p": "1.5", "q": "2", "T": 1_788_000_000_000, "m": True}
        ),
        {"p", "q"},
    ),
    "binance book": (binance(DataType.ORDERBOOK, DEPTH | {"U": 7, "u": 8}), {"b", "a"}),
    "binance ticker": (binance(DataType.TICKER, DAY | dict.fromkeys("bBaA", "1.5")), set("bBaAcQohlvq")),
    "binance candle": (
        binance(DataType.CANDLE, {"e": "kline", "E": 1_788_000_000_000, "k": KLINE}), set("ochlvq"),
    ),
    "binance perpetual trade": (binance(DataType.TRADE, BINANCE_AGGREGATE, PERPETUAL), {"p", "q"}),
    "binance perpetual book": (
        binance(DataType.ORDERBOOK, DEPTH | {"T": 1_788_000_000_000, "u": 8, "pu": 6}, PERPETUAL), {"b", "a"},
    ),
    "binance perpetual ticker": (binance(DataType.TICKER, DAY, PERPETUAL), set("cQohlvq")),
    "binance past trade": ((history(BinanceRestApi(), DataType.TRADE), [BINANCE_ROW]), {"price", "qty"}),
    "binance past aggregate": (
        (history(BinanceRestApi(), DataType.TRADE, PERPETUAL), [BINANCE_AGGREGATE]), {"p", "q"},
    ),
    "binance past candle": (
        (
            history(BinanceRestApi(), DataType.CANDLE),
            [
                [1_788_000_000_000, "1", "3", "1", "2", "4", 1_788_000_059_999, "8", 3],
                [1_788_000_060_000, "1", "3", "1", "2", "4", 1_788_000_119_999, "8", 3],
            ],
        ),
        {""},
    ),
    "binance snapshot": (
        (
            lambda body: [BinanceSnapshots().read(stream(DataType.ORDERBOOK), None, body, 7)],
            {"lastUpdateId": 70, "bids": [["5", "1"]], "asks": [["6", "1"]]},
        ),
        {"bids", "asks"},
    ),
    "binance account": (
        (account(whole_account), {"updateTime": 7, "balances": [{"asset": "BTC", "free": "1", "locked": "2"}]}),
        {"free", "locked"},
    ),
    "binance changed balance": (
        (
            account_event,
            {
                "subscriptionId": 0,
                "event": {
                    "e": "outboundAccountPosition", "E": 1, "u": 1, "B": [{"a": "BTC", "f": "1", "l": "2"}],
                },
            },
        ),
        {"f", "l"},
    ),
    "binance mark price": (binance(DataType.MARKPRICE, MARK, PERPETUAL), set("piP")),
    "binance funding": (binance(DataType.FUNDING, MARK, PERPETUAL), set("pir")),
    "binance liquidation": (
        binance(DataType.LIQUIDATION, {"e": "forceOrder", "o": ORDER}, PERPETUAL), {"q", "p", "ap", "z"},
    ),
    "binance open interest": (
        (polled(DataType.OPENINTEREST), {"openInterest": "1.5", "time": 7}), {"openInterest"},
    ),
    "binance settled rate": (
        (
            polled(DataType.FUNDING),
            [{"fundingRate": "0.1", "fundingTime": 1_788_000_000_000, "markPrice": "1.5"}],
        ),
        {"fundingRate", "markPrice"},
    ),
    "okx funding": (
        okx(DataType.FUNDING, "funding-rate", OKX_RATE), {"fundingRate", "nextFundingRate", "settFundingRate"},
    ),
    "okx mark price": (okx(DataType.MARKPRICE, "mark-price", {"markPx": "1.5", "ts": "1788000000000"}), {"markPx"}),
    "okx open interest": (
        okx(DataType.OPENINTEREST, "open-interest", {"oi": "1", "oiCcy": "2", "oiUsd": "3", "ts": "1788000000000"}),
        {"oi", "oiCcy", "oiUsd"},
    ),
    "okx liquidation": (
        okx(DataType.LIQUIDATION, "liquidation-orders", {"instId": "BTC-USDT-SWAP", "details": [DETAIL]}),
        {"bkPx", "sz"},
    ),
    "bybit funding": (bybit(DataType.FUNDING, "tickers", RATE, PERPETUAL), {"fundingRate"}),
    "bybit mark price": (
        bybit(DataType.MARKPRICE, "tickers", {"markPrice": "1", "indexPrice": "2"}, PERPETUAL),
        {"markPrice", "indexPrice"},
    ),
    "bybit open interest": (
        bybit(
            DataType.OPENINTEREST, "tickers", {"singleOpenInterest": "1", "singleOpenInterestValue": "2"}, PERPETUAL
        ),
        {"singleOpenInterest", "singleOpenInterestValue"},
    ),
    "bybit liquidation": (
        bybit(
            DataType.LIQUIDATION, "allLiquidation", [{"T": 1_788_000_000_000, "S": "Buy", "v": "2", "p": "5"}],
            PERPETUAL,
        ),
        {"v", "p"},
    ),
    "bybit trade": (
        bybit(DataType.TRADE, "publicTrade", [{"i": "u", "T": 1_788_000_000_000, "p": "5", "v": "2", "S": "Buy"}]),
        {"p", "v"},
    ),
    "bybit book": (bybit(DataType.ORDERBOOK, "orderbook.50", BYBIT_BOOK), {"b", "a"}),
    "bybit ticker": (
        (pushed(with_best_prices), bybit(DataType.TICKER, "tickers", BYBIT_DAY)[1]), set(BYBIT_DAY),
    ),
    "bybit linear ticker": (
        bybit(DataType.TICKER, "tickers", BYBIT_DAY | BYBIT_BEST, PERPETUAL), {*BYBIT_DAY, *BYBIT_BEST},
    ),
    "bybit candle": (
        bybit(
            DataType.CANDLE, "kline.1",
            [BYBIT_CANDLE | {"start": 1_788_000_000_000, "interval": "1", "confirm": True}],
        ),
        set(BYBIT_CANDLE),
    ),
    "bybit past candle": (
        (history(BybitRestApi(), DataType.CANDLE), listed(["1788000000000", "1", "3", "1", "2", "4", "8"])),
        {"list"},
    ),
    "bybit recent trade": (
        (lambda body: BybitRecent().read(stream(DataType.TRADE), body, 7), listed(BYBIT_ROW)), {"price", "size"},
    ),
    "bybit account": (
        (account(BybitPolls().read), listed({"accountType": "UNIFIED", "coin": [COINS]})),
        {"walletBalance", "locked", "spotBorrow"},
    ),
}  # fmt: skip
"""By name: how records are read, a document with one record, and the fields with its numbers."""


ABSENT = object()


def changed(document: Any, numbers: set[str], value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """The document with this value as one of its numbers, once for each, and the field of that number."""
    if isinstance(document, str) and name in numbers:
        yield name, value
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, part in items:
        for field, each in changed(part, numbers, value, key if isinstance(key, str) else name):
            copied = document.copy()
            copied[key] = each
            if each is ABSENT:
                del copied[key]
            yield field, copied


def encoded(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def is_refused(read: Read, document: Any) -> bool:
    """Whether the only record is not published. An error names its stream, so that no other is hurt."""
    try:
        return not read(encoded(document))
    except FrameError as error:
        return error.stream is not None


@pytest.mark.parametrize(("source", "numbers"), SOURCES.values(), ids=SOURCES.keys())
def test_number_that_is_no_plain_decimal_is_refused_in_every_field(source: tuple[Read, Any], numbers: set[str]) -> None:
    read, document = source
    assert not is_refused(read, document)
    for text in NOT_DECIMAL:
        odd = list(changed(document, numbers, text))
        assert {field for field, _ in odd} == numbers
        published = {field for field, each in odd if not is_refused(read, each)}
        assert published <= (MAY_BE_NEGATIVE if text == "-5" else set()), text


def nulls(record: Any) -> set[str]:
    return {field for field in record.__struct_fields__ if getattr(record, field) is None}


@pytest.mark.parametrize("value", [ABSENT, None, ""])
@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("binance ticker", set("bBaAcQohlvq")),
        ("binance perpetual ticker", set("cQohlvq")),
        ("bybit ticker", set(BYBIT_DAY)),
        ("binance candle", {"q"}),
        ("binance mark price", {"i", "P"}),
        ("bybit candle", {"turnover"}),
    ],
)
def test_absent_number_is_null(name: str, numbers: set[str], value: object) -> None:
    """The amount of an absent price is null too."""
    read, document = SOURCES[name][0]
    (whole,) = read(encoded(document))
    for field, each in changed(document, numbers, value):
        (record,) = read(encoded(each))
        assert len(nulls(record) - nulls(whole)) == (2 if field in {"b", "a", "c"} else 1), field
