"""Binance's USD-M perpetuals: paths, aggregate trades, books that are linked by `pu`, and REST."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import recordings
from market_collector.errors import FrameError, InstrumentRefusedError
from market_collector.exchanges.binance.channels import BinanceCodec, channel
from market_collector.exchanges.binance.exchange import Binance
from market_collector.exchanges.binance.rest import BinanceRestApi, BinanceSnapshots
from market_collector.exchanges.interface import Batch, HistoryRange, Request, Seen
from market_collector.feed.effects import Effect, Emit, Fetch, Question
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Candle, Gap, Level, Orderbook, Record, Ticker, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

SYMBOL = "BTC-USDT-PERP"
TRADES = Stream(SYMBOL, DataType.TRADE)
BOOK = Stream(SYMBOL, DataType.ORDERBOOK)
TICKER = Stream(SYMBOL, DataType.TICKER)
CANDLE = Stream(SYMBOL, DataType.CANDLE, "1m")
API = BinanceRestApi()
BINANCE = Binance()
RECORDING = Path(recordings.BINANCE_REST).with_name("ws_usdm_demo_2026-09-15_btcusdt_part1.jsonl")
REST = recordings.BINANCE_REST.with_name("rest_usdm.jsonl")
TRADE = {
    "e": "aggTrade", "E": 1789469121904, "a": 3091, "s": "BTCUSDT", "p": "77021.6", "q": "0.012", "nq": "0.012",
    "f": 7120, "l": 7122, "T": 1789469121836, "m": True,
}  # fmt: skip
DEPTH = {
    "e": "depthUpdate", "E": 1789469121904, "T": 1789469121836, "s": "BTCUSDT", "ps": "BTCUSDT", "U": 200, "u": 205,
    "pu": 150, "b": [["77021.60", "650.0043"], ["77020.00", "0.0000"]], "a": [["77022.10", "0"]], "st": 1,
}  # fmt: skip
DAY = {
    "e": "24hrTicker", "E": 1789469121904, "s": "BTCUSDT", "c": "77021.6", "Q": "0.012", "o": "77000", "h": "78000",
    "l": "76000", "v": "100", "q": "7700000", "L": 7122, "n": 5,
}  # fmt: skip


def batch(stream: Stream, event: Any) -> Batch:
    text = json.dumps({"stream": channel(stream), "data": event}, separators=(",", ":"))
    (message,) = BinanceCodec([stream]).read(text.encode(), 7)
    assert isinstance(message, Batch)
    return message


@pytest.mark.parametrize(
    ("stream", "path", "name"),
    [
        (TRADES, "/market/stream", "btcusdt@aggTrade"),
        (BOOK, "/public/stream", "btcusdt@depth@100ms"),
        (TICKER, "/market/stream", "btcusdt@ticker"),
        (CANDLE, "/market/stream", "btcusdt@kline_1m"),
    ],
)
def test_stream_of_a_perpetual_is_on_its_path(stream: Stream, path: str, name: str) -> None:
    route = BINANCE.route(stream)
    assert (BINANCE.codec(route, [stream]).path, channel(stream)) == (path, name)
    assert BINANCE.hosts[BINANCE.routes[route].host] == "wss://fstream.binance.com"
    assert BINANCE.route(Stream("BTC-USDT", stream.data_type, stream.interval)) == "market"


def test_aggregate_trade_counts_its_fills() -> None:
    assert batch(TRADES, TRADE).records == [
        Trade("binance", SYMBOL, 1789469121836_000_000, 7, "3091", "3091", 3, "sell", "77021.6", "0.012")
    ]


def test_update_follows_the_state_that_it_names() -> None:
    levels = [Level("77021.60", "650.0043"), Level("77020.00", "0")]
    asks = [Level("77022.10", "0")]
    assert batch(BOOK, DEPTH).records == [
        Orderbook("binance", SYMBOL, 1789469121836_000_000, 7, "update", levels, asks, 205, 150)
    ]


def test_ticker_has_no_best_prices() -> None:
    (ticker,) = batch(TICKER, DAY).records
    assert isinstance(ticker, Ticker)
    assert (ticker.bid, ticker.ask, ticker.last, ticker.volume_24h) == (None, None, "77021.6", "100")
    (empty,) = batch(TICKER, DAY | {"c": "0.0", "Q": "0"}).records
    assert isinstance(empty, Ticker)
    assert (empty.last, empty.last_amount) == (None, None)


def test_candle_is_read_with_blanks() -> None:
    kline = {
        "t": 60_000, "T": 119_999, "s": "BTCUSDT", "i": "1m", "o": "1", "c": "2", "h": "3", "l": "1", "v": "5",
        "n": 4, "x": True, "q": "9",
    }  # fmt: skip
    event = json.dumps({"e": "kline", "E": 120_000, "s": "BTCUSDT", "k": kline}, separators=(", ", ":"))
    frame = f'{{"stream":"btcusdt@kline_1m","data":{event}}}'
    (message,) = BinanceCodec([CANDLE]).read(frame.encode(), 7)
    assert isinstance(message, Batch)
    (candle,) = message.records
    assert isinstance(candle, Candle)
    assert (candle.symbol, candle.open_time_ns, candle.closed) == (SYMBOL, 60_000_000_000, True)


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        (TRADES, TRADE | {"p": "1e3"}),
        (TRADES, TRADE | {"l": 7119}),
        (TRADES, TRADE | {"a": -1}),
        (BOOK, DEPTH | {"b": [["NaN", "1"]]}),
        (BOOK, DEPTH | {"pu": 206}),
        (TICKER, DAY | {"c": "x"}),
    ],
)
def test_malformed_value_of_a_perpetual_is_not_published(stream: Stream, event: Any) -> None:
    with pytest.raises(FrameError) as raised:
        batch(stream, event)
    assert raised.value.stream == stream


def test_spot_does_not_load_the_module_of_perpetuals() -> None:
    code = (
        "import sys; from market_collector.exchanges.binance.exchange import Binance;"
        "from market_collector.model.streams import DataType, Stream;"
        "Binance().codec('market', [Stream('BTC-USDT', DataType.TRADE)]);"
        "print('market_collector.exchanges.binance.futures' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# -- books


def at(number: int) -> Moment:
    return Moment(1000.0 + number / 10, 1_790_000_000_000_000_000 + number * 100_000_000)


class Run:
    """A connection of one book."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.ledger = Ledger("binance", [BOOK], 60.0, at(0), book_rule=BINANCE.books)
        self.feed = Feed(BINANCE.route(BOOK), BINANCE, [BOOK], self.ledger, ping_interval_s=20.0, book_depth=50)
        self.keep(self.feed.opened(at(0)))
        self.keep(self.feed.received(b'{"result":null,"id":1}', at(0)))

    def keep(self, effects: list[Effect]) -> list[Effect]:
        self.records += [record for effect in effects if isinstance(effect, Emit) for record in effect.records]
        return effects

    def starts(self, sequence: int, number: int) -> None:
        self.answers(self.keep(self.feed.woken(at(number))), sequence, number)

    def answers(self, effects: list[Effect], sequence: int, number: int) -> None:
        (fetch,) = [each for each in effects if isinstance(each, Fetch)]
        assert fetch.question is Question.SNAPSHOT
        body = {"lastUpdateId": sequence, "E": 9, "T": 8, "bids": [["5.0", "1"]], "asks": [["9.0", "0.500"]]}
        self.keep(self.feed.answered(fetch, json.dumps(body).encode(), at(number)))

    @property
    def steps(self) -> list[tuple[int | None, int | None]]:
        books = [record for record in self.records if isinstance(record, Orderbook)]
        return [(record.previous_sequence, record.sequence) for record in books]


def test_recorded_updates_continue_a_snapshot_without_a_gap() -> None:
    run = Run()
    frames = [each for each in recordings.received(RECORDING) if "@depth@100ms" in each.text]
    events = [json.loads(each.text)["data"] for each in frames]
    assert all(after["pu"] == before["u"] < after["U"] - 1 for before, after in pairwise(events))
    run.keep(run.feed.received(frames[0].bytes, at(1)))
    run.starts(events[0]["U"] - 1, 2)
    for number, frame in enumerate(frames[1:], 3):
        run.keep(run.feed.received(frame.bytes, at(number)))
    assert [last for _, last in run.steps] == [events[0]["U"] - 1, *(event["u"] for event in events)]
    assert run.ledger.resyncs == 0
    assert not [record for record in run.records if isinstance(record, Gap)]


def test_lost_update_of_a_perpetual_needs_another_snapshot() -> None:
    run = Run()
    run.starts(150, 1)
    run.keep(run.feed.received(frame(u=205, pu=150), at(2)))
    effects = run.keep(run.feed.received(frame(u=305, pu=250), at(3)))
    assert run.steps == [(None, 150), (150, 205)]
    run.answers(effects, 250, 4)
    assert run.steps[2:] == [(None, 250), (250, 305)]
    assert [gap.after_sequence for gap in run.records if isinstance(gap, Gap)] == [205]


def frame(**numbers: int) -> bytes:
    return json.dumps({"stream": channel(BOOK), "data": DEPTH | numbers}, separators=(",", ":")).encode()


def test_silence_of_three_minutes_is_no_end_of_a_connection() -> None:
    """The server pings a connection of perpetuals every 3 minutes, one of spot every 20 s."""
    run = Run()
    assert [type(each).__name__ for each in run.feed.woken(at(1_900))].count("Reconnect") == 0
    assert [type(each).__name__ for each in run.feed.woken(at(2_450))].count("Reconnect") == 1


# -- REST


def request(call: str, cost: float) -> Request:
    return Request(f"/fapi/v1/{call}", host="perpetual-rest", bucket="perpetual", cost=cost)


@pytest.mark.parametrize(
    ("stream", "call", "weight"),
    [
        (TRADES, "aggTrades?symbol=BTCUSDT&limit=1", 20),
        (BOOK, "depth?symbol=BTCUSDT&limit=5", 2),
        (TICKER, "ticker/24hr?symbol=BTCUSDT", 1),
        (CANDLE, "klines?symbol=BTCUSDT&interval=1m&limit=1", 1),
    ],
)
def test_newest_event_of_a_perpetual_has_its_own_budget(stream: Stream, call: str, weight: int) -> None:
    assert API.newest(stream) == request(call, weight)


def test_lists_of_perpetuals_come_from_their_host() -> None:
    assert API.instruments("perpetual") == API.state(TRADES) == request("exchangeInfo", 1)
    assert API.overview("perpetual") == request("ticker/24hr", 40)


@pytest.mark.parametrize(
    ("depth", "levels", "weight"), [(None, 1000, 20), (20, 100, 5), (100, 500, 10), (1000, 1000, 20)]
)
def test_snapshot_of_a_perpetual_has_at_most_1000_levels(depth: int | None, levels: int, weight: int) -> None:
    assert BinanceSnapshots().request(BOOK, depth) == request(f"depth?symbol=BTCUSDT&limit={levels}", weight)


def test_history_of_aggregate_trades_starts_with_the_missing_id() -> None:
    missing = HistoryRange(3091, 3092, 4000)
    assert API.history(TRADES, missing) == request("aggTrades?symbol=BTCUSDT&fromId=3091&limit=2", 20)
    rows = [{name: TRADE[name] for name in "apqflTm"} | {"a": number} for number in (3091, 3092)]
    page = API.read_history(TRADES, json.dumps(rows).encode(), 7)
    assert [(each.trade_id, each.count, each.backfilled) for each in page.records if isinstance(each, Trade)] == [
        ("3091", 3, True),
        ("3092", 3, True),
    ]
    assert page.covers == (None, 3092)


def test_candles_of_a_perpetual_come_from_their_host() -> None:
    asked = API.history(CANDLE, HistoryRange(10, 10, 20))
    assert asked == request("klines?symbol=BTCUSDT&interval=1m&startTime=540000&limit=3", 5)


def test_newest_aggregate_trade_is_judged_by_its_own_id() -> None:
    (last,) = batch(TRADES, TRADE).records
    body = json.dumps([{name: TRADE[name] for name in "apqflTm"}]).encode()
    assert API.judge(TRADES, Seen(last), body).finding.value == "quiet"


def test_overview_tells_nothing_of_books_of_perpetuals() -> None:
    body = json.dumps([{"symbol": "BTCUSDT", "lastId": 7122, "lastPrice": "1"}]).encode()
    signs = API.read_overview([TRADES, BOOK, CANDLE], body)
    assert signs == {TRADES: "7122", CANDLE: "7122"}  # the id of a fill, not of an aggregate trade


def test_candle_length_that_is_not_offered_is_refused() -> None:
    with pytest.raises(InstrumentRefusedError) as raised:
        API.judge(CANDLE, Seen(), b'{"code":-1120,"msg":"Invalid interval."}')
    assert raised.value.reason == "ChannelNotOffered"


def test_perpetuals_are_named_by_their_contract() -> None:
    row = {
        "symbol": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "marginAsset": "USDT", "onboardDate": 1569398400000,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.002"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
    }  # fmt: skip
    dated = row | {"symbol": "BTCUSDT_270326", "contractType": "CURRENT_QUARTER", "status": "SETTLING"}
    pending = row | {"symbol": "NEWUSDT", "baseAsset": "NEW", "status": "PENDING_TRADING"}
    gold = row | {"symbol": "XAUUSDT", "baseAsset": "XAU", "contractType": "TRADIFI_PERPETUAL"}
    body = json.dumps({"symbols": [row, dated, pending, gold]}).encode()
    found, later, metal = API.read_instruments(None, body, 7)
    assert (metal.symbol, metal.kind) == ("XAU-USDT-PERP", "perpetual")
    assert (found.symbol, found.native_symbol, found.kind, found.settlement) == (SYMBOL, "BTCUSDT", "perpetual", "USDT")
    assert (found.price_increment, found.amount_increment, found.min_amount, found.min_notional) == (
        "0.10", "0.001", "0.002", "100",
    )  # fmt: skip
    assert (found.listed_time_ns, later.status) == (1569398400000_000_000, "pre_launch")
    assert API.unlisted({SYMBOL, "XRP-USDT-PERP", "XAU-USDT-PERP"}, body) == {"XRP-USDT-PERP"}
    assert API.halted(body) == {"NEW-USDT-PERP": "PENDING_TRADING"}


def test_recorded_answers_are_read() -> None:
    answers = {frame.url.rpartition("/")[2].partition("?")[0]: frame.bytes for frame in recordings.received(REST)}
    listed = API.read_instruments(None, answers["exchangeInfo"], 7)
    assert [(each.symbol, each.price_increment, each.amount_increment, each.min_notional) for each in listed] == [
        ("BTC-USDT-PERP", "0.10", "0.0001", "50"),
        ("ETH-USDT-PERP", "0.01", "0.001", "20"),
    ]
    snapshot = BinanceSnapshots().read(BOOK, 20, answers["depth"], 7)
    assert (snapshot.sequence, len(snapshot.bids), len(snapshot.asks)) == (429014264524, 5, 5)
    assert snapshot.bids[0] == Level("77044.80", "0.1538")
    assert API.read_time(answers["time"]) == 1789469329816_000_000
