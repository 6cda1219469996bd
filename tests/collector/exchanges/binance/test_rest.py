"""Binance's REST requests, and the readers of their answers."""

import json
from typing import Any

import pytest

import recordings
from market_collector.errors import FrameError, InstrumentRefusedError
from market_collector.exchanges.binance.exchange import Binance
from market_collector.exchanges.binance.markets import FUNDING
from market_collector.exchanges.binance.rest import BinanceRestApi, BinanceSnapshots
from market_collector.exchanges.interface import Finding, Freshness, HistoryRange, Request, Seen, Top
from market_collector.model.events import Candle, Instrument, Level, Orderbook, Ticker, Trade
from market_collector.model.streams import DataType, Stream
from market_collector.net.rest_host import RestHost

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1m")
STREAMS = (TRADES, BOOK, TICKER, CANDLE)
API = BinanceRestApi()
SYMBOL_REFUSED = b'{"code":-1121,"msg":"Invalid symbol."}'
TICKER_ROW = {
    "symbol": "BTCUSDT", "lastId": 70, "bidPrice": "9.00000000", "bidQty": "1.00000000", "askPrice": "10.00000000",
    "askQty": "2.00000000",
}  # fmt: skip
NEWEST = {
    TRADES: [{"id": 70, "price": "1.0", "qty": "1.0"}],
    BOOK: {"lastUpdateId": 70, "bids": [], "asks": []},
    TICKER: TICKER_ROW,
    CANDLE: [[70, "1.0"]],
}


def answer(part: str) -> bytes:
    """The recorded answer to the request whose URL has this part."""
    (found,) = [each for each in recordings.received(recordings.BINANCE_REST) if part in each.url]
    return found.bytes


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


# -- what a quiet stream lacks


@pytest.mark.parametrize(
    ("stream", "path", "weight"),
    [
        (TRADES, "/api/v3/trades?symbol=BTCUSDT&limit=1", 25),
        (BOOK, "/api/v3/depth?symbol=BTCUSDT&limit=1", 5),
        (TICKER, "/api/v3/ticker/24hr?symbol=BTCUSDT", 2),
        (CANDLE, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1", 2),
    ],
)
def test_the_newest_event_is_requested_with_its_weight(stream: Stream, path: str, weight: int) -> None:
    assert API.newest(stream) == Request(path, cost=weight)


def seen(stream: Stream, number: int) -> Seen:
    trade = Trade("binance", "BTC-USDT", 1, 1, str(number), str(number), 1, "buy", "1", "1")
    book = Orderbook("binance", "BTC-USDT", 1, 1, "update", [], [], number, number - 1)
    candle = Candle(
        "binance", "BTC-USDT", 1, 1, "1m", number * 1_000_000, "1", "1", "1", "1", "1", "1", 1, closed=False
    )
    ticker = Ticker("binance", "BTC-USDT", 999_000_000, 1, *(None,) * 11)
    last = {TRADES: trade, BOOK: book, CANDLE: candle, TICKER: ticker}[stream]
    return Seen(last, evidence=number if stream is TICKER else None)


@pytest.mark.parametrize("stream", STREAMS)
def test_newest_event_is_judged_by_its_number(stream: Stream) -> None:
    body = encoded(NEWEST[stream])
    assert API.judge(stream, seen(stream, 70), body).finding is Finding.QUIET
    assert API.judge(stream, seen(stream, 69), body) == Freshness(Finding.NEWER, 70, 70, "70 after 69")
    assert API.judge(stream, Seen(), body) == Freshness(Finding.UNKNOWN, evidence=70)
    assert API.judge(stream, Seen(answer=70), body).finding is Finding.QUIET


@pytest.mark.parametrize(("stream", "nothing"), [(TRADES, []), (CANDLE, []), (TICKER, TICKER_ROW | {"lastId": -1})])
def test_instrument_without_events_is_quiet(stream: Stream, nothing: Any) -> None:
    assert API.judge(stream, Seen(), encoded(nothing)).finding is Finding.EMPTY


@pytest.mark.parametrize("stream", STREAMS)
def test_unknown_symbol_is_refused(stream: Stream) -> None:
    with pytest.raises(InstrumentRefusedError, match="Binance error -1121: Invalid symbol") as raised:
        API.judge(stream, Seen(), SYMBOL_REFUSED)
    assert raised.value.reason == "SymbolNotFound"


@pytest.mark.parametrize(
    ("body", "stream"),
    [(b"<html>", None), (b"", None), (b'{"code":-1000,"msg":"x"}', None), (b'[{"id":"x"}]', TRADES), (b"{}", TRADES)],
)
def test_unreadable_answer_names_the_stream_if_only_it_is_hit(body: bytes, stream: Stream | None) -> None:
    with pytest.raises(FrameError, match="BTC-USDT/trade") as raised:
        API.judge(TRADES, Seen(), body)
    assert not isinstance(raised.value, InstrumentRefusedError)
    assert raised.value.stream == stream


def test_overview_signs_the_newest_event_of_each_stream() -> None:
    assert API.overview("spot") == Request("/api/v3/ticker/24hr", cost=80)
    other = Stream("ETH-USDT", DataType.TRADE)
    assert API.read_overview([*STREAMS, other], encoded([TICKER_ROW])) == {
        TRADES: 70,
        BOOK: Top("9.00000000", "1.00000000", "10.00000000", "2.00000000"),
        TICKER: "70 9.00000000 1.00000000 10.00000000 2.00000000",
        CANDLE: "70",
    }


def test_unreadable_ticker_of_one_instrument_does_not_hide_the_others() -> None:
    signs = API.read_overview([TICKER], encoded([TICKER_ROW | {"symbol": "DEADUSDT", "lastId": None}, TICKER_ROW]))
    assert set(signs) == {TICKER}


def test_overview_of_an_idle_instrument_has_digests() -> None:
    row = TICKER_ROW | {"lastId": -1, "bidPrice": "0.00000000"}
    signs = API.read_overview([TRADES, BOOK], encoded([row]))
    assert signs == {TRADES: "-1", BOOK: Top("", "", "10.00000000", "2.00000000")}


# -- history


def test_history_of_trades_starts_with_the_first_missing_one() -> None:
    request = API.history(TRADES, HistoryRange(first=11, last=17, newest=40))
    assert request == Request("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=11&limit=7", cost=25)
    assert API.history(TRADES, HistoryRange(11, 5_000, 9_000)).path.endswith("&limit=1000")


def test_recorded_trades_cover_their_page() -> None:
    stream = Stream("ETH-BTC", DataType.TRADE)
    history = API.read_history(stream, answer("historicalTrades?symbol=ETHBTC"), 7)
    ids = [int(record.trade_id) for record in history.records if isinstance(record, Trade)]
    assert ids == list(range(409018748, 409018748 + 600))
    assert (history.covers, history.unreadable) == ((None, ids[-1]), 0)
    assert history.records[0] == Trade(
        "binance", "ETH-BTC", 1679280337591_000_000, 7, "409018748", "409018748", 1, "buy", "0.06436200", "0.01580000",
        backfilled=True,
    )  # fmt: skip


def test_history_of_candles_has_one_before_and_one_after() -> None:
    number = CANDLE.candle_number(1_672_516_800_000_000_000)
    request = API.history(CANDLE, HistoryRange(number, number + 2, number + 9))
    assert request == Request(
        "/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=1672516740000&limit=5", cost=2
    )  # fmt: skip


def test_recorded_candles_are_closed_except_for_the_last() -> None:
    stream = Stream("BTC-USDT", DataType.CANDLE, "1h")
    body = answer("interval=1h")
    history, rows = API.read_history(stream, body, 7), json.loads(body)
    assert len(history.records) == len(rows) - 1
    first, last = history.records[0], history.records[-1]
    assert isinstance(first, Candle)
    assert isinstance(last, Candle)
    assert (first.open_time_ns, first.close, first.volume) == (rows[0][0] * 1_000_000, rows[0][4], rows[0][5])
    assert (first.closed, first.backfilled, first.trades) == (True, True, rows[0][8])
    assert history.covers == (None, stream.candle_number(last.open_time_ns))


def test_empty_history_covers_what_was_requested() -> None:
    for stream in (TRADES, CANDLE):
        history = API.read_history(stream, b"[]", 7)
        assert (list(history.records), history.covers, history.unreadable) == ([], (None, None), 0)


def test_unreadable_row_of_history_is_counted() -> None:
    row = {"id": 5, "price": "1.0", "qty": "2.0", "time": 1679280337591, "isBuyerMaker": True}
    history = API.read_history(TRADES, encoded([row | {"price": "x"}, row]), 7)
    assert ([record.trade_id for record in history.records if isinstance(record, Trade)], history.unreadable) == (
        ["5"],
        1,
    )


def test_weeks_open_on_mondays() -> None:
    weeks = Stream("BTC-USDT", DataType.CANDLE, "1w")
    monday_ms = 1_672_617_600_000
    assert weeks.candle_open_ns(weeks.candle_number(monday_ms * 1_000_000)) == monday_ms * 1_000_000


# -- instruments


def test_instruments_are_requested_with_those_that_do_not_trade() -> None:
    assert API.instruments("spot") == Request("/api/v3/exchangeInfo?showPermissionSets=false", cost=20)
    assert API.state(TRADES).path == "/api/v3/exchangeInfo?symbol=BTCUSDT&showPermissionSets=false"


def test_symbols_come_from_base_and_quote() -> None:
    body = answer("exchangeInfo")
    listed, halted = API.read_instruments(None, body, 7), API.halted(body)
    assert ("ETH-BTC", "trading") in [(each.symbol, each.status) for each in listed]
    assert set(halted.values()) == {"BREAK"}
    assert len(listed) == 46
    assert {each.symbol for each in listed if each.status == "halted"} == set(halted)


@pytest.mark.parametrize("bad", [{"status": 7}, {"filters": [{"filterType": "PRICE_FILTER", "tickSize": "1e-8"}]}])
def test_malformed_instrument_hides_no_other(bad: dict[str, Any]) -> None:
    row = {"symbol": "ETHBTC", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "BTC", "filters": []}
    odd = row | {"symbol": "ADABTC", "baseAsset": "ADA"} | bad
    body = json.dumps({"symbols": [odd, row]}).encode()
    assert [each.symbol for each in API.read_instruments({"ETH-BTC", "ADA-BTC"}, body, 1)] == ["ETH-BTC"]
    assert API.unlisted({"ETH-BTC", "ADA-BTC", "X-Y"}, body) == {"X-Y"}


def test_list_with_an_unreadable_name_says_nothing_about_symbols() -> None:
    body = (
        b'{"symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC"},{"symbol":"ADABTC"}]}'
    )
    with pytest.raises(FrameError):
        API.unlisted({"ADA-BTC"}, body)


def test_symbol_is_unlisted_even_if_its_native_name_exists() -> None:
    body = answer("exchangeInfo")
    assert API.unlisted({"ETH-BTC", "ET-HBTC", "X-Y"}, body) == {"ET-HBTC", "X-Y"}
    assert API.unlisted({"X-Y"}, b'{"symbols":[]}') == frozenset()


def test_instrument_has_the_steps_of_its_filters() -> None:
    (found,) = API.read_instruments({"ETH-BTC"}, answer("exchangeInfo"), 7)
    assert isinstance(found, Instrument)
    steps = found.price_increment, found.amount_increment, found.min_amount, found.min_notional
    assert steps == ("0.00000100", "0.00010000", "0.00010000", "0.00010000")
    assert (found.symbol, found.native_symbol, found.base, found.quote) == ("ETH-BTC", "ETHBTC", "ETH", "BTC")
    assert (found.status, found.trade_ids, found.sequence_scope) == ("trading", "dense", "exchange")


@pytest.mark.parametrize(
    ("state", "status"), [("BREAK", "halted"), ("CANCEL_ONLY", "cancel_only"), ("AUCTION_MATCH", "AUCTION_MATCH")]
)
def test_state_of_an_instrument_has_our_word(state: str, status: str) -> None:
    row = {"symbol": "BTCUSDT", "status": state, "baseAsset": "BTC", "quoteAsset": "USDT"}
    body = encoded({"symbols": [row]})
    (found,) = API.read_instruments({"BTC-USDT"}, body, 7)
    assert (found.status, found.price_increment) == (status, None)
    assert API.halted(body) == {"BTC-USDT": state}


def test_the_exchange_s_time_is_read() -> None:
    assert API.time() == Request("/api/v3/time")
    assert API.read_time(b'{"serverTime":1499827319559}') == 1_499_827_319_559_000_000
    with pytest.raises(FrameError, match="its time"):
        API.read_time(b'{"serverTime":1}')


# -- snapshots of books


@pytest.mark.parametrize(
    ("depth", "levels", "weight"), [(None, 1000, 50), (500, 1000, 50), (50, 100, 5), (1000, 5000, 250)]
)
def test_snapshot_has_twice_the_wanted_levels(depth: int | None, levels: int, weight: int) -> None:
    snapshots = BinanceSnapshots()
    request = snapshots.request(BOOK, depth)
    assert request == Request(f"/api/v3/depth?symbol=BTCUSDT&limit={levels}", cost=weight)
    body = b'{"lastUpdateId":70,"bids":[["9.0","1.0"]],"asks":[]}'
    assert snapshots.read(BOOK, depth, body, 7) == Orderbook(
        "binance", "BTC-USDT", None, 7, "snapshot", [Level("9.0", "1.0")], [], 70, None, None, "exchange", levels
    )


def test_malformed_snapshot_is_refused() -> None:
    for body in (b'{"lastUpdateId":70,"bids":[["x","1.0"]],"asks":[]}', b'{"lastUpdateId":-1,"bids":[],"asks":[]}'):
        with pytest.raises(FrameError):
            BinanceSnapshots().read(BOOK, None, body, 7)


def test_snapshots_of_a_start_take_half_the_weight_at_most() -> None:
    """120 books: in no minute more than 3,000 of the 6,000 that the exchange allows, as all start with a full budget."""
    host, sent = RestHost(), list[float]()
    for number in range(120):
        request = BinanceSnapshots().request(Stream(f"A{number}-USDT", DataType.ORDERBOOK), None)
        sent.append(host.reserve(request, API.budgets[request.bucket], 100.0))
    busiest = max(sum(start <= at < start + 60 for at in sent) for start in sent)
    assert busiest * 50 <= 3_000
    assert sent[-1] < 180


@pytest.mark.parametrize(
    ("bucket", "seconds", "accepted"), [("", 60, 6_000), ("perpetual", 60, 2_400), (FUNDING, 300, 500)]
)
def test_requests_stay_at_half_of_the_limit(bucket: str, seconds: int, accepted: int) -> None:
    budget = API.budgets[bucket]
    assert budget.capacity + seconds * budget.per_second <= accepted / 2


def test_all_depths_can_be_requested() -> None:
    for depth in Binance.book_depths:
        assert int(BinanceSnapshots().request(BOOK, depth).path.rpartition("=")[2]) >= 2 * depth
