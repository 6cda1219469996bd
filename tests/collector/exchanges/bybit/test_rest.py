"""Bybit's REST requests, and what their answers mean."""

import json
from typing import Any

import pytest

import recordings
from market_collector.book.book import Book
from market_collector.errors import FrameError, InstrumentRefusedError
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.bybit.recent import BybitRecent
from market_collector.exchanges.bybit.rest import BUDGETS, BybitRestApi
from market_collector.exchanges.interface import Finding, Freshness, HistoryRange, ProblemKind, Seen, Top
from market_collector.model.events import Candle, Level, Orderbook, Ticker, Trade
from market_collector.model.streams import DataType, Stream

API = BybitRestApi()
TRADES = Stream("BTC-USDT", DataType.TRADE)
PERP_TRADES = Stream("BTC-USDC-PERP", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")
STREAMS = (TRADES, BOOK, TICKER, CANDLES)
MINUTE_MS = 60_000


def answer(result: Any, *, code: int = 0, message: str = "OK", time_ms: int = 1_790_000_000_000) -> bytes:
    envelope = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": time_ms}
    return json.dumps(envelope, separators=(",", ":")).encode()


def rows(*found: Any, **fields: Any) -> bytes:
    return answer({"category": "spot", "list": list(found)}, **fields)


def recorded(part: str) -> bytes:
    return next(frame.bytes for frame in recordings.received(recordings.BYBIT_REST) if part in frame.url)


# -- errors


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "pause_s"),
    [
        (200, 10006, "Too many visits!", ProblemKind.BUSY, 5.0),
        (200, 10003, "API key is invalid.", ProblemKind.KEY, 0.0),
        (200, 10004, "error sign!", ProblemKind.KEY, 0.0),
        (200, 10005, "Permission denied", ProblemKind.KEY, 0.0),
        (200, 10007, "User authentication failed.", ProblemKind.KEY, 0.0),
        (200, 10010, "Unmatched IP", ProblemKind.KEY, 0.0),
        (200, 33004, "Your api key has expired.", ProblemKind.KEY, 0.0),
        (200, -2015, "expired", ProblemKind.KEY, 0.0),
        (200, 10002, "invalid request, check your server timestamp", ProblemKind.CLOCK, 0.0),
        (200, 10009, "IP has been banned.", ProblemKind.REGION, 600.0),
        (200, 10024, "not available to you", ProblemKind.REGION, 600.0),
        (200, 10000, "Server Timeout", ProblemKind.SERVER, 0.0),
        (200, 10016, "Internal server error.", ProblemKind.SERVER, 0.0),
        (400, 10001, "params error: symbol invalid", ProblemKind.NO_SYMBOL, 0.0),
        (429, 10006, "Too many visits!", ProblemKind.BUSY, 5.0),
        (404, 10017, "Route not found.", ProblemKind.BUG, 0.0),
    ],
)
def test_code_in_the_envelope_decides(status: int, code: int, message: str, kind: ProblemKind, pause_s: float) -> None:
    problem = API.refusal(status, {}, answer({}, code=code, message=message))
    assert problem is not None
    assert (problem.kind, problem.pause_s) == (kind, pause_s)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"access too frequent", ProblemKind.BANNED),
        (b"<H2>The request could not be satisfied.</H2>\nBad request.", ProblemKind.BANNED),
        (b"<p>configured to block access from your country.</p>", ProblemKind.REGION),
    ],
)
def test_forbidden_address_is_silent_for_ten_minutes(body: bytes, kind: ProblemKind) -> None:
    problem = API.refusal(403, {}, body)
    assert problem is not None
    assert (problem.kind, problem.pause_s) == (kind, 600.0)


def test_answers_without_an_error_are_none() -> None:
    assert API.refusal(200, {}, rows()) is None
    assert API.refusal(200, {}, answer({}, code=10001, message="params error: symbol invalid")) is None
    assert API.refusal(200, {}, b"no JSON") is None
    assert API.refusal(502, {}, b"Bad Gateway") is not None


def test_unknown_symbol_refuses_the_instrument() -> None:
    body = answer({}, code=10001, message="params error: symbol invalid")
    for stream in STREAMS:
        with pytest.raises(InstrumentRefusedError, match="Bybit error 10001"):
            API.judge(stream, Seen(), body)
    with pytest.raises(FrameError):
        API.judge(TRADES, Seen(), answer({}, code=10001, message="params error: limit"))


def test_requests_stay_below_half_of_the_limit() -> None:
    """Bybit accepts 600 in 5 s."""
    budget = BUDGETS[""]
    assert budget.capacity + 5 * budget.per_second <= 300


# -- instruments and time


def test_recorded_instrument_is_described() -> None:
    (found,) = API.read_instruments({"BTC-USDT"}, recorded("instruments-info"), 7)
    assert (found.symbol, found.native_symbol, found.kind, found.amount_unit) == ("BTC-USDT", "BTCUSDT", "spot", "base")
    assert (found.price_increment, found.amount_increment, found.min_notional) == ("0.1", "0.000001", "5")
    assert (found.trade_ids, found.sequence_scope, found.status) == ("unnumbered", "exchange", "trading")


def contract(symbol: str, base: str, quote: str, **fields: str) -> dict[str, Any]:
    return {
        "symbol": symbol, "baseCoin": base, "quoteCoin": quote, "settleCoin": quote, "status": "Trading",
        "contractType": "LinearPerpetual", "launchTime": "1584230400000", "priceFilter": {"tickSize": "0.10"},
        "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.001", "minNotionalValue": "5"},
    } | fields  # fmt: skip


LINEAR = answer(
    {
        "category": "linear",
        "list": [
            contract("BTCUSDT", "BTC", "USDT"),
            contract("BTCPERP", "BTC", "USDC"),
            contract("NEWUSDT", "NEW", "USDT", status="PreLaunch"),
            contract("BTC-26JUN26", "BTC", "USDC", contractType="LinearFutures"),
        ],
        "nextPageCursor": "",
    }
)


def test_contracts_have_canonical_names_and_their_states() -> None:
    found = API.read_instruments(None, LINEAR, 7)
    assert [(each.symbol, each.native_symbol, each.kind, each.settlement) for each in found] == [
        ("BTC-USDT-PERP", "BTCUSDT", "perpetual", "USDT"),
        ("BTC-USDC-PERP", "BTCPERP", "perpetual", "USDC"),
        ("NEW-USDT-PERP", "NEWUSDT", "perpetual", "USDT"),
    ]
    assert [each.status for each in found] == ["trading", "trading", "pre_launch"]
    assert found[0].listed_time_ns == 1_584_230_400_000_000_000
    assert API.halted(LINEAR) == {"NEW-USDT-PERP": "PreLaunch"}


def test_symbols_that_an_answer_lacks_are_not_listed() -> None:
    assert API.unlisted({"BTC-USDT-PERP", "GONE-USDT-PERP"}, LINEAR) == {"GONE-USDT-PERP"}
    assert API.unlisted({"GONE-USDT"}, answer({}, code=10001, message="symbol invalid")) == {"GONE-USDT"}
    assert API.unlisted({"GONE-USDT"}, rows()) == frozenset()
    more = answer({"category": "linear", "list": [contract("AUSDT", "A", "USDT")], "nextPageCursor": "x"})
    assert API.unlisted({"A-USDT-PERP", "B-USDT-PERP"}, more) == {"B-USDT-PERP"}


def test_list_of_contracts_has_further_pages() -> None:
    rows = [contract("A", "A", "USDT")]
    request = API.more_instruments(
        answer({"category": "linear", "list": rows, "nextPageCursor": "first%3DA%26last%3DB"})
    )
    assert request is not None
    assert request.path == "/v5/market/instruments-info?category=linear&limit=1000&cursor=first%3DA%26last%3DB"
    ends: list[dict[str, Any]] = [
        {"list": [], "nextPageCursor": "x"},
        *({"list": rows, "nextPageCursor": odd} for odd in ("a b", "a&c=d", "a\n")),
    ]
    for body in (LINEAR, *(answer({"category": "linear"} | end) for end in ends), answer({}, code=10016)):
        assert API.more_instruments(body) is None


def test_time_is_in_nanoseconds() -> None:
    assert API.read_time(recorded("market/time")) == 1_789_299_611_107_028_610
    for odd in ("0", "x", "9" * 19):
        with pytest.raises(FrameError):
            API.read_time(answer({"timeSecond": "1", "timeNano": odd}))


# -- quiet or stale


def trade(name: str, time_ms: int) -> dict[str, Any]:
    return {
        "execId": name, "symbol": "BTCUSDT", "price": "5", "size": "1", "side": "Buy", "time": str(time_ms),
        "isBlockTrade": False, "isRPITrade": False, "seq": "7",
    }  # fmt: skip


def our_trade(name: str, time_ms: int) -> Trade:
    return Trade("bybit", "BTC-USDT", time_ms * 1_000_000, 1, name, name, 1, "buy", "5", "1")


@pytest.mark.parametrize(
    ("newest", "finding"),
    [
        (trade("a", 10), Finding.QUIET),
        (trade("b", 10), Finding.QUIET),
        (trade("b", 11), Finding.NEWER),
        (trade("b", 9), Finding.OLDER),
    ],
)
def test_trades_are_compared_by_time(newest: dict[str, Any], finding: Finding) -> None:
    freshness = API.judge(TRADES, Seen(our_trade("a", 10)), rows(newest))
    assert (freshness.finding, freshness.newest) == (finding, None)


def test_trades_of_a_stream_without_data_are_compared_with_the_last_answer() -> None:
    first = API.judge(TRADES, Seen(), rows(trade("a", 10)))
    assert (first.finding, first.evidence) == (Finding.UNKNOWN, "a")
    assert API.judge(TRADES, Seen(answer="a"), rows(trade("a", 10))).finding is Finding.QUIET
    assert API.judge(TRADES, Seen(answer="a"), rows(trade("b", 11))).finding is Finding.NEWER
    assert API.judge(TRADES, Seen(), rows()).finding is Finding.EMPTY


def our_book(time_ms: int = 5) -> tuple[Orderbook, Book]:
    record = Orderbook(
        "bybit", "BTC-USDT", time_ms * 1_000_000, 1, "snapshot", [Level("5.0", "1"), Level("4", "2")], [], 7, None
    )
    return record, Book(record)


def judged_book(bids: list[list[str]], cts: int = 9) -> Freshness:
    record, book = our_book()
    body = answer({"s": "BTCUSDT", "b": bids, "a": [], "ts": 9, "u": 999, "seq": 1, "cts": cts})
    return API.judge(BOOK, Seen(record, book=book), body)


def test_books_are_compared_by_their_best_levels() -> None:
    assert judged_book([["5", "1.0"], ["4", "2"]]).finding is Finding.QUIET
    assert judged_book([["5", "1.5"], ["4", "2"]]).finding is Finding.NEWER
    assert judged_book([["5", "1.5"]], cts=4).finding is Finding.OLDER
    assert API.judge(BOOK, Seen(), answer({"b": [], "a": []})).finding is Finding.UNKNOWN


def test_tickers_are_compared_by_their_prices() -> None:
    last = Ticker("bybit", "BTC-USDT", 1, 1, "5", "1", "6", "2", "5.5", None, None, None, None, None, None)
    row = {
        "symbol": "BTCUSDT",
        "lastPrice": "5.50",
        "bid1Price": "5",
        "bid1Size": "1",
        "ask1Price": "6",
        "ask1Size": "2",
    }
    assert API.judge(TICKER, Seen(last), rows(row)).finding is Finding.QUIET
    assert API.judge(TICKER, Seen(last), rows(row | {"lastPrice": "5.6"})).finding is Finding.NEWER
    assert API.judge(TICKER, Seen(last), rows(row | {"ask1Price": ""})).finding is Finding.NEWER
    assert API.judge(TICKER, Seen(), rows(row)).finding is Finding.UNKNOWN
    assert API.judge(TICKER, Seen(), rows()).finding is Finding.EMPTY


def candle_row(minute: int) -> list[str]:
    return [str(minute * MINUTE_MS), "1", "3", "1", "2", "4", "8"]


def test_candles_are_compared_by_their_open_times() -> None:
    last = Candle(
        "bybit", "BTC-USDT", 1, 1, "1m", 5 * MINUTE_MS * 1_000_000, "1", "1", "1", "1", "1", "1", None, closed=False
    )
    assert API.judge(CANDLES, Seen(last), rows(candle_row(5))).finding is Finding.QUIET
    newer = API.judge(CANDLES, Seen(last), rows(candle_row(6)))
    assert (newer.finding, newer.newest) == (Finding.NEWER, 6 * MINUTE_MS)


def test_overview_has_a_sign_for_each_stream() -> None:
    row = {
        "symbol": "BTCUSDT", "lastPrice": "5", "volume24h": "9", "turnover24h": "45", "bid1Price": "4",
        "bid1Size": "1", "ask1Price": "6", "ask1Size": "2",
    }  # fmt: skip
    signs = API.read_overview([*STREAMS, Stream("GONE-USDT", DataType.TRADE)], rows(row))
    assert set(signs) == set(STREAMS)
    assert signs[BOOK] == Top("4", "1", "6", "2")
    assert signs[TRADES] == signs[CANDLES] != signs[TICKER]
    assert API.overview("perpetual").path.endswith("category=linear")


def test_unreadable_ticker_of_one_instrument_does_not_hide_the_others() -> None:
    signs = API.read_overview([TICKER], rows({"symbol": "DEADUSDT", "lastPrice": 5}, {"symbol": "BTCUSDT"}))
    assert set(signs) == {TICKER}


# -- history


def test_candles_are_requested_from_the_one_before_the_first_missing() -> None:
    request = API.history(CANDLES, HistoryRange(10, 20, 30))
    assert request is not None
    assert request.path == (
        f"/v5/market/kline?category=spot&symbol=BTCUSDT&interval=1&start={9 * MINUTE_MS}&end={20 * MINUTE_MS}&limit=1000"
    )
    assert API.history(TRADES, HistoryRange(1, 2, 3)) is None


def test_history_has_closed_candles_oldest_first() -> None:
    found = [candle_row(7), candle_row(6), candle_row(5)]
    history = API.read_history(CANDLES, rows(*found, time_ms=7 * MINUTE_MS + 5), 9)
    assert [each.open_time_ns // 10**6 // MINUTE_MS for each in history.records if isinstance(each, Candle)] == [5, 6]
    assert all(each.backfilled for each in history.records if isinstance(each, Candle))
    odd = API.read_history(CANDLES, rows(candle_row(6), ["x"], time_ms=9 * MINUTE_MS), 9)
    assert (len(odd.records), odd.unreadable) == (1, 1)


# -- the newest trades


def test_recent_trades_come_oldest_first_with_the_ids_of_the_connection() -> None:
    body = rows(trade("c", 12) | {"side": "Sell"}, trade("b", 11) | {"isRPITrade": True}, trade("a", 10) | {"seq": ""})
    found = BybitRecent().read(TRADES, body, 9)
    assert [(each.trade_id, each.side, each.kind, each.sequence) for each in found] == [
        ("a", "buy", None, None),
        ("b", "buy", "rpi", 7),
        ("c", "sell", None, 7),
    ]
    assert all(each.backfilled for each in found)


def test_recent_trades_are_as_many_as_the_category_has() -> None:
    assert BybitRecent().request(TRADES).path.endswith("category=spot&symbol=BTCUSDT&limit=60")
    assert BybitRecent().request(PERP_TRADES).path.endswith("category=linear&symbol=BTCPERP&limit=1000")


@pytest.mark.parametrize("field", [{"time": "x"}, {"time": "9" * 15}, {"price": "-1"}, {"seq": "-"}, {"execId": ""}])
def test_odd_row_among_recent_trades_is_an_error(field: dict[str, str]) -> None:
    with pytest.raises(FrameError) as raised:
        BybitRecent().read(TRADES, rows(trade("a", 1) | field), 9)
    assert raised.value.stream == TRADES


def test_exchange_says_that_trade_ids_are_not_dense() -> None:
    assert not Bybit.has_dense_trade_ids
    assert isinstance(Bybit.recent_trades, BybitRecent)
