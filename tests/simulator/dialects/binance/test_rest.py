import hashlib
import hmac
import json
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from market_simulator.dialects.binance import frames
from market_simulator.dialects.binance.dialect import Binance, Frontend
from market_simulator.engine.account import Account, ApiKey
from market_simulator.engine.dialect import Reply, RestRequest, ServerOptions, View
from market_simulator.engine.events import Tick
from market_simulator.engine.faults.calls import How, Page, Stale, Status
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue

PLAN = MarketPlan("7", ("BTC-USDT", "ETH-USDT"), Fraction(40))
START_US = 1_767_225_540_000_000
RECORDINGS = Path(__file__).parents[3] / "recordings" / "binance"


class Exchange:
    """A market of some minutes and its REST API."""

    def __init__(self, count: int = 12_000) -> None:
        self.venue = Venue(instruments(PLAN, Binance().make_instrument))
        self.truth, self.account = Truth(PLAN.symbols, 100_000, 10_000), Account()
        self.frontend = Frontend(self.venue, self.truth, self.account, ServerOptions())
        self.at = 60.0
        self.view = View()
        self.how: How | None = None
        for event in islice(with_beats(market(PLAN, START_US), 60_000_000), count):
            self.venue.apply(event)
            self.frontend.publish(event, ())
            self.truth.record(event, None if isinstance(event, Tick) else self.venue.boards[event.instrument].book)
        self.now_ms = self.truth.time_us // 1000

    def reply(self, call: str, later: float = 61.0, headers: dict[str, str] | None = None) -> Reply:
        self.at += later
        path, _, query = call.partition("?")
        given = dict(parse_qsl(query))
        return self.frontend.rest(
            RestRequest(
                f"/api/v3/{path}", given, "127.0.0.1", self.at, self.now_ms, self.view, self.how, query, headers or {}
            )
        )

    def get(self, call: str, later: float = 61.0) -> Any:
        reply = self.reply(call, later)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)


@pytest.fixture(scope="module")
def market_of_minutes() -> Exchange:
    return Exchange()


@pytest.fixture
def exchange(market_of_minutes: Exchange) -> Exchange:
    market_of_minutes.view, market_of_minutes.how = View(), None
    return market_of_minutes


def test_time_and_ping(exchange: Exchange) -> None:
    assert exchange.get("time") == {"serverTime": exchange.now_ms}
    assert exchange.get("ping") == {}


def test_symbols_have_their_assets_and_steps(exchange: Exchange) -> None:
    rows = exchange.get("exchangeInfo?symbolStatus=TRADING&showPermissionSets=false")["symbols"]
    assert [(r["symbol"], r["baseAsset"], r["quoteAsset"]) for r in rows] == [
        ("BTCUSDT", "BTC", "USDT"), ("ETHUSDT", "ETH", "USDT"),
    ]  # fmt: skip
    assert not any("permissionSets" in row for row in rows)
    (row,) = exchange.get("exchangeInfo?symbol=ETHUSDT")["symbols"]
    assert row["filters"][0]["tickSize"] == "0.01000000"
    assert len(exchange.get('exchangeInfo?symbols=["BTCUSDT","ETHUSDT"]')["symbols"]) == 2
    assert exchange.get("exchangeInfo")["rateLimits"][0]["limit"] == 6000


def test_paused_symbol_is_listed_and_delisted_one_is_not(exchange: Exchange) -> None:
    exchange.view = View(preopen=frozenset({"BTC-USDT"}), delisted=frozenset({"ETH-USDT"}))
    assert [(r["symbol"], r["status"]) for r in exchange.get("exchangeInfo")["symbols"]] == [("BTCUSDT", "BREAK")]
    assert exchange.get("exchangeInfo?symbolStatus=TRADING")["symbols"] == []
    assert json.loads(exchange.reply("trades?symbol=ETHUSDT").body)["code"] == -1121


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        ("depth", 400, -1102),
        ("depth?symbol=BTC-USDT", 400, -1121),
        ("depth?symbol=NONO", 400, -1121),
        ('exchangeInfo?symbols=["BTCUSDT","NONO"]', 400, -1121),
        ("exchangeInfo?symbols=BTCUSDT", 400, -1100),
        ("trades?symbol=BTCUSDT&limit=x", 400, -1100),
        ("klines?symbol=BTCUSDT", 400, -1102),
        ("klines?symbol=BTCUSDT&interval=7m", 400, -1120),
        ("account", 401, -2014),
    ],
)
def test_bad_call_is_refused_with_its_code(exchange: Exchange, call: str, status: int, code: int) -> None:
    reply = exchange.reply(call)
    assert (reply.status, json.loads(reply.body)["code"]) == (status, code)


def test_unknown_path_is_not_found(exchange: Exchange) -> None:
    assert exchange.reply("nonsense").status == 404


def test_depth_is_the_book_with_its_last_update(exchange: Exchange) -> None:
    board = exchange.venue.boards["BTC-USDT"]
    assert board.state is not None
    depth = exchange.get("depth?symbol=BTCUSDT&limit=5")
    assert depth["lastUpdateId"] == board.state.sequence
    assert depth["bids"] == [[frames.eight(r.price), frames.eight(r.size)] for r in board.book.bids.best(5)]
    assert len(exchange.get("depth?symbol=BTCUSDT")["asks"]) == 100
    assert len(exchange.get("depth?symbol=BTCUSDT&limit=9999")["asks"]) == 400


def test_depth_can_lag_behind(exchange: Exchange) -> None:
    exchange.how = Stale(15)
    numbers = [change.sequence for change in exchange.truth.books["BTC-USDT"].changes()]
    depth = exchange.get("depth?symbol=BTCUSDT&limit=5000")
    assert depth["lastUpdateId"] == numbers[-16]
    state = exchange.truth.books["BTC-USDT"].at(numbers[-16])
    assert depth["asks"] == [[frames.eight(r.price), frames.eight(r.size)] for r in state.asks]


def test_history_goes_forward_from_an_id_to_the_newest(exchange: Exchange) -> None:
    history, walked = exchange.truth.trades["BTC-USDT"], []
    first = history.first_id
    while page := exchange.get(f"historicalTrades?symbol=BTCUSDT&fromId={first}&limit=1000"):
        walked += page
        first = page[-1]["id"] + 1
    fills = list(history.fills(history.first_id, history.last_id))
    assert [(r["id"], r["price"], r["qty"], r["time"], r["isBuyerMaker"]) for r in walked] == [
        (f.id, frames.eight(f.row.price), frames.eight(f.size), f.row.ts_ms, f.row.side == "sell") for f in fills
    ]


def test_newest_trades_are_in_ascending_order(exchange: Exchange) -> None:
    last = exchange.truth.trades["BTC-USDT"].last_id
    for call in ("trades", "historicalTrades"):
        assert [r["id"] for r in exchange.get(f"{call}?symbol=BTCUSDT&limit=3")] == [last - 2, last - 1, last]
    assert len(exchange.get("trades?symbol=BTCUSDT")) == 500


def test_faults_leave_out_trades(exchange: Exchange) -> None:
    last = exchange.truth.trades["BTC-USDT"].last_id
    exchange.view = View(gaps=((last - 3, last - 2),))
    ids = [r["id"] for r in exchange.get(f"historicalTrades?symbol=BTCUSDT&fromId={last - 5}")]
    assert ids == [last - 5, last - 4, last - 1, last]
    exchange.view, exchange.how = View(), Stale(4)
    assert exchange.get("trades?symbol=BTCUSDT")[-1]["id"] == last - 4
    exchange.how = Page(first=2)
    assert len(exchange.get("trades?symbol=BTCUSDT")) == 2


def test_rows_have_the_columns_of_the_recording(exchange: Exchange) -> None:
    row = exchange.get("trades?symbol=BTCUSDT&limit=1")[0]
    assert list(row) == ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"]


def test_klines_are_ascending_and_have_all_fills(exchange: Exchange) -> None:
    start = START_US // 1000 + 5_000
    rows = exchange.get(f"klines?symbol=BTCUSDT&interval=1s&startTime={start}&limit=50")
    assert [row[0] for row in rows] == [start + 1000 * n for n in range(50)]
    fills = exchange.truth.trades["BTC-USDT"].fills(0, 1 << 62)
    assert sum(row[8] for row in rows) == sum(start <= fill.row.ts_ms < start + 50_000 for fill in fills)
    newest = exchange.get("klines?symbol=BTCUSDT&interval=1m&limit=2")
    assert newest[-1][0] == exchange.now_ms // 60_000 * 60_000
    assert newest[-1][6] - newest[-1][0] == 59_999
    assert exchange.get(f"klines?symbol=BTCUSDT&interval=1m&startTime={exchange.now_ms + 60_000}") == []
    end = exchange.get(f"klines?symbol=BTCUSDT&interval=1s&startTime={start}&endTime={start + 2000}")
    assert [row[0] for row in end] == [start, start + 1000, start + 2000]


def test_tickers_are_for_one_symbol_or_all(exchange: Exchange) -> None:
    one = exchange.get("ticker/24hr?symbol=BTCUSDT")
    assert one["lastId"] == exchange.truth.trades["BTC-USDT"].last_id
    assert one["count"] == one["lastId"] - one["firstId"] + 1
    assert [row["symbol"] for row in exchange.get("ticker/24hr")] == ["BTCUSDT", "ETHUSDT"]
    book = exchange.get("ticker/bookTicker?symbol=BTCUSDT")
    assert list(book) == ["symbol", "bidPrice", "bidQty", "askPrice", "askQty"]


@pytest.mark.parametrize(("limit", "weight"), [(100, 5), (101, 25), (1000, 50), (5000, 250)])
def test_used_weight_is_in_the_header(exchange: Exchange, limit: int, weight: int) -> None:
    before = int(exchange.reply("time").headers["X-MBX-USED-WEIGHT-1M"])
    after = exchange.reply(f"depth?symbol=BTCUSDT&limit={limit}", later=0.0)
    assert int(after.headers["X-MBX-USED-WEIGHT-1M"]) - before == weight


def test_too_much_weight_is_refused_and_then_banned() -> None:
    exchange = Exchange(200)
    replies = [exchange.reply("depth?symbol=BTCUSDT&limit=5000", later=0.0) for _ in range(40)]
    assert [reply.status for reply in replies] == [200] * 24 + [429] * 10 + [418] * 6
    assert json.loads(replies[24].body)["code"] == -1003
    assert 0 < int(replies[24].headers["Retry-After"]) <= 60
    assert 0 < int(replies[-1].headers["Retry-After"]) <= 121
    assert str(exchange.now_ms + 120_000) in json.loads(replies[-1].body)["msg"]
    assert exchange.reply("time", later=100.0).status == 418
    assert exchange.reply("time", later=21.0).status == 200


@pytest.mark.parametrize(("status", "code"), [(429, -1003), (418, -1003), (503, -1001), (403, -1000)])
def test_requested_status_has_its_error(exchange: Exchange, status: int, code: int) -> None:
    exchange.how = Status(status)
    reply = exchange.reply("time")
    assert (reply.status, json.loads(reply.body)["code"]) == (status, code)


def test_account_needs_a_signature(exchange: Exchange) -> None:
    key = ApiKey()
    query = f"omitZeroBalances=true&timestamp={exchange.now_ms}"
    signature = hmac.new(key.secret_key.encode(), query.encode(), hashlib.sha256).hexdigest()
    headers = {"X-MBX-APIKEY": key.api_key}
    good = exchange.reply(f"account?{query}&signature={signature}", headers=headers)
    assert [row["asset"] for row in json.loads(good.body)["balances"]] == ["BTC", "ETH", "USDT"]
    bad = exchange.reply(f"account?{query}&signature={signature[:-1]}x", headers=headers)
    assert json.loads(bad.body)["code"] == -1022
