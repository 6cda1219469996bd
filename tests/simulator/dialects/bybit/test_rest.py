import json
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from market_simulator.dialects.bybit.dialect import Bybit, Frontend
from market_simulator.dialects.bybit.private import PrivateSession
from market_simulator.dialects.bybit.public import PublicSession
from market_simulator.dialects.bybit.rest import FREQUENT
from market_simulator.dialects.bybit.trade_ids import dense
from market_simulator.engine.account import Account
from market_simulator.engine.dialect import Reply, RestRequest, ServerOptions, View
from market_simulator.engine.events import Key, Tick
from market_simulator.engine.faults.calls import How, Page, Stale, Status
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue

PLAN = MarketPlan("7", ("BTC-USDT", "BTC-USDT-PERP", "ETH-USDT-PERP"), Fraction(20), fixed_kinds=Bybit.fixed_kinds)
START_US = 1_767_225_540_000_000
RECORDINGS = Path(__file__).parents[3] / "recordings" / "bybit"
CATEGORIES = {"spot": "BTC-USDT", "linear": "BTC-USDT-PERP"}


class Exchange:
    """A market of some minutes and its REST API."""

    def __init__(self, count: int = 12_000) -> None:
        self.venue = Venue(instruments(PLAN, Bybit().make_instrument))
        self.truth = Truth(PLAN.symbols, 100_000, 30_000)
        self.frontend = Frontend(self.venue, self.truth, Account(), ServerOptions())
        self.at = 60.0
        self.view, self.how = View(), None
        for event in islice(with_beats(market(PLAN, START_US), 60_000_000), count):
            self.venue.apply(event)
            self.frontend.publish(event, ())
            self.truth.record(event, None if isinstance(event, Tick) else self.venue.boards[event.instrument].book)
        self.now_ms = self.truth.time_us // 1000

    view: View
    how: How | None

    def reply(self, call: str, later: float = 1.0) -> Reply:
        self.at += later
        path, _, query = call.partition("?")
        given = dict(parse_qsl(query))
        return self.frontend.rest(
            RestRequest(f"/v5/{path}", given, "127.0.0.1", self.at, self.now_ms, self.view, self.how, query)
        )

    def get(self, call: str) -> Any:
        reply = self.reply(call)
        assert reply.status == 200, reply.body
        envelope = json.loads(reply.body)
        assert list(envelope) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
        assert (envelope["retCode"], envelope["retMsg"], envelope["time"]) == (0, "OK", self.now_ms)
        return envelope["result"]

    def refused(self, call: str) -> tuple[int, str]:
        envelope = json.loads(self.reply(call).body)
        assert envelope["result"] == {}
        return envelope["retCode"], envelope["retMsg"]


@pytest.fixture(scope="module")
def market_of_minutes() -> Exchange:
    return Exchange()


@pytest.fixture
def exchange(market_of_minutes: Exchange) -> Iterator[Exchange]:
    yield market_of_minutes
    market_of_minutes.view, market_of_minutes.how = View(), None


def fields(value: Any) -> Any:
    """The names in a JSON value, with those of its objects."""
    if isinstance(value, dict):
        return {name: fields(inner) for name, inner in value.items()}
    return [fields(value[0])] if isinstance(value, list) and value else None


@pytest.mark.parametrize(("place", "call"), [(0, "market/instruments-info?category=spot"), (1, "market/time")])
def test_answers_have_the_recorded_fields(exchange: Exchange, place: int, call: str) -> None:
    entry = json.loads((RECORDINGS / "rest.jsonl").read_text().splitlines()[place])
    assert fields(json.loads(exchange.reply(call).body)) == fields(json.loads(entry["raw"]))


def test_time_is_the_exchanges(exchange: Exchange) -> None:
    found = exchange.get("market/time")
    assert (found["timeSecond"], found["timeNano"]) == (str(exchange.now_ms // 1000), f"{exchange.now_ms}000000")


@pytest.mark.parametrize(("category", "newest"), [("spot", 60), ("linear", 1000)])
def test_recent_trades_are_the_newest_and_have_no_older_page(exchange: Exchange, category: str, newest: int) -> None:
    call = f"market/recent-trade?category={category}&symbol=BTCUSDT"
    rows = exchange.get(call + "&limit=5000&cursor=1")["list"]
    ids = [dense(row["execId"]) for row in rows]
    history = exchange.truth.trades[CATEGORIES[category]]
    assert len(history) > 1000
    assert ids == list(range(history.last_id, history.last_id - newest, -1))
    assert len(exchange.get(call)["list"]) == min(newest, 500)
    fill = next(history.fills(ids[3], ids[3]))
    assert (rows[3]["size"], rows[3]["time"], rows[3]["seq"]) == (
        fill.size,
        str(fill.row.ts_ms),
        str(fill.row.sequence),
    )
    assert rows[3]["side"].lower() == fill.row.side


def test_recent_trades_miss_what_faults_hide(exchange: Exchange) -> None:
    call = "market/recent-trade?category=spot&symbol=BTCUSDT&limit=5"
    last = exchange.truth.trades["BTC-USDT"].last_id
    exchange.view = View(gaps=((last - 2, last - 1),))
    assert [dense(row["execId"]) for row in exchange.get(call)["list"]] == [last, *range(last - 3, last - 7, -1)]
    exchange.view, exchange.how = View(), Stale(4)
    assert dense(exchange.get(call)["list"][0]["execId"]) == last - 4
    exchange.how = Page(first=2)
    assert len(exchange.get(call)["list"]) == 2


@pytest.mark.parametrize(("category", "default"), [("spot", 1), ("linear", 25)])
def test_book_has_the_numbers_of_the_topic_of_1000(exchange: Exchange, category: str, default: int) -> None:
    call = f"market/orderbook?category={category}&symbol=BTCUSDT"
    assert len(exchange.get(call)["b"]) == default
    whole = exchange.get(call + "&limit=1000")
    key = CATEGORIES[category]
    topic = json.loads(exchange.frontend.first(Key("orderbook.1000", key))[0])["data"]
    assert {name: whole[name] for name in topic} == topic
    state = exchange.truth.books[key].at(whole["seq"])
    assert [(Decimal(p), Decimal(s)) for p, s in whole["b"]] == [
        (Decimal(x.price), Decimal(x.size)) for x in state.bids
    ]


def test_stale_book_is_an_older_one(exchange: Exchange) -> None:
    call = "market/orderbook?category=spot&symbol=BTCUSDT&limit=50"
    now = exchange.get(call)
    exchange.how = Stale(100)
    old = exchange.get(call)
    assert (old["seq"] < now["seq"], old["u"] < now["u"]) == (True, True)
    assert exchange.truth.books["BTC-USDT"].at(old["seq"]).bids[0].price == old["b"][0][0]


def test_candles_are_newest_first_and_page_by_their_end(exchange: Exchange) -> None:
    call = "market/kline?category=linear&symbol=BTCUSDT&interval=1"
    rows = exchange.get(call)["list"]
    opens = [int(row[0]) for row in rows]
    assert len(opens) >= 3
    assert all(before - after == 60_000 for before, after in pairwise(opens))
    assert [int(row[0]) for row in exchange.get(call + f"&limit=2&end={opens[1] - 1}")["list"]] == opens[2:4]
    assert [int(row[0]) for row in exchange.get(call + f"&start={opens[1]}&end={opens[0]}")["list"]] == opens[:2]
    assert exchange.get(call + f"&start={opens[0] + 1}")["list"] == []
    fills = exchange.truth.trades["BTC-USDT-PERP"].fills(0, 1 << 62)
    inside = [fill for fill in fills if opens[1] <= fill.row.ts_ms < opens[0]]
    assert Decimal(rows[1][5]) == sum(Decimal(fill.size) for fill in inside)
    assert Decimal(rows[1][6]) == sum(Decimal(fill.size) * Decimal(fill.row.price) for fill in inside)


def test_tickers_have_bid_and_ask_in_both_categories(exchange: Exchange) -> None:
    spot = exchange.get("market/tickers?category=spot&symbol=BTCUSDT")["list"]
    linear = exchange.get("market/tickers?category=linear")["list"]
    assert [row["symbol"] for row in spot + linear] == ["BTCUSDT", "BTCUSDT", "ETHUSDT"]
    assert all(Decimal(row["bid1Price"]) < Decimal(row["ask1Price"]) for row in spot + linear)
    assert linear[0]["bid1Price"] == exchange.get("market/orderbook?category=linear&symbol=BTCUSDT&limit=1")["b"][0][0]


def test_linear_instruments_come_in_pages(exchange: Exchange) -> None:
    call = "market/instruments-info?category=linear&limit=1"
    first = exchange.get(call)
    second = exchange.get(f"{call}&cursor={first['nextPageCursor']}")
    assert [row["symbol"] for page in (first, second) for row in page["list"]] == ["BTCUSDT", "ETHUSDT"]
    assert second["nextPageCursor"] == ""
    row = first["list"][0]
    assert (row["contractType"], row["settleCoin"], row["status"]) == ("LinearPerpetual", "USDT", "Trading")


def test_auction_and_delisting_show_in_the_instruments(exchange: Exchange) -> None:
    call = "market/instruments-info?category=linear"
    exchange.view = View(preopen=frozenset({"BTC-USDT-PERP"}), delisted=frozenset({"ETH-USDT-PERP"}))
    assert [(row["symbol"], row["status"]) for row in exchange.get(call)["list"]] == [("BTCUSDT", "PreLaunch")]
    assert exchange.refused(call + "&symbol=ETHUSDT") == (10001, "params error: symbol invalid")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("market/orderbook?symbol=BTCUSDT", "params error: Category is invalid"),
        ("market/orderbook?category=spot&symbol=NOPE", "params error: symbol invalid"),
        ("market/orderbook?category=spot&symbol=ETHUSDT", "params error: symbol invalid"),
        ("market/recent-trade?category=spot", "params error: symbol invalid"),
        ("market/recent-trade?category=spot&symbol=BTCUSDT&limit=x", "params error: limit is invalid"),
        ("market/kline?category=spot&symbol=BTCUSDT&interval=2", "params error: interval invalid"),
    ],
)
def test_wrong_parameters_are_errors_with_status_200(exchange: Exchange, call: str, message: str) -> None:
    assert exchange.reply(call).status == 200
    assert exchange.refused(call) == (10001, message)


def test_unknown_route_is_404(exchange: Exchange) -> None:
    assert exchange.reply("market/nothing").status == 404
    assert exchange.refused("market/nothing")[0] == 10017


def test_601st_call_within_5_s_is_a_ban_of_ten_minutes() -> None:
    exchange = Exchange(10)
    replies = [exchange.reply("market/time", 0.005) for _ in range(601)]
    assert [reply.status for reply in replies] == [200] * 600 + [403]
    assert replies[-1].body == FREQUENT
    assert exchange.reply("market/time", 599).status == 403
    assert exchange.reply("market/time", 2).status == 200


def test_no_limit_bans_nobody() -> None:
    exchange = Exchange(10)
    exchange.frontend = Frontend(exchange.venue, exchange.truth, Account(), ServerOptions(has_rate_limits=False))
    assert {exchange.reply("market/time", 0.0).status for _ in range(700)} == {200}


@pytest.mark.parametrize(("status", "code"), [(429, 10006), (500, 10016), (503, 10016)])
def test_fault_answers_with_its_status(exchange: Exchange, status: int, code: int) -> None:
    exchange.how = Status(status)
    reply = exchange.reply("market/time")
    assert (reply.status, json.loads(reply.body)["retCode"]) == (status, code)


def test_forbidden_call_has_a_reason_and_no_envelope(exchange: Exchange) -> None:
    exchange.how = Status(403)
    reply = exchange.reply("market/time")
    assert (reply.status, reply.body) == (403, FREQUENT)


def test_balances_need_a_signature(exchange: Exchange) -> None:
    assert exchange.refused("account/wallet-balance?accountType=UNIFIED")[0] == 10001


def test_connection_has_the_symbols_and_limits_of_its_path(exchange: Exchange) -> None:
    sessions = [exchange.frontend.session("c", f"/v5/public/{category}") for category in CATEGORIES]
    assert [session.symbols for session in sessions if isinstance(session, PublicSession)] == [
        {"BTCUSDT": "BTC-USDT"},
        {"BTCUSDT": "BTC-USDT-PERP", "ETHUSDT": "ETH-USDT-PERP"},
    ]
    offered = ["allLiquidation" in session.channels for session in sessions if isinstance(session, PublicSession)]
    assert offered == [False, True]
    private = exchange.frontend.session("c", "/v5/private?max_active_time=1m")
    assert isinstance(private, PrivateSession)
    assert private.upkeep.limit == 60.0
    assert private.clock() == exchange.venue.now_ms


def test_changed_holding_is_a_message_of_the_wallet(exchange: Exchange) -> None:
    ((key, text),) = exchange.frontend.holding_changed("BTC")
    assert (key, json.loads(text)["data"][0]["coin"][0]["coin"]) == (Key("wallet", ""), "BTC")
    assert exchange.frontend.first(key) == []
    assert exchange.frontend.login_refusal({"apiKey": "other", "expires": 1 << 50, "sign": "x"}, 5) == (
        "10003",
        "API key is invalid.",
    )


def test_merged_trade_is_a_list_of_its_fills(exchange: Exchange) -> None:
    row = next(row for row in exchange.truth.trades["BTC-USDT"].merged(0, 1 << 62) if len(row.sizes) > 1)
    fills = json.loads(Bybit().trade_row("BTC-USDT", row))
    assert [dense(fill["execId"]) for fill in fills] == list(range(row.first_id, row.last_id + 1))
    assert [fill["size"] for fill in fills] == list(row.sizes)
    assert exchange.frontend.symbol("", {"category": "linear", "symbol": "BTCUSDT"}) == "BTC-USDT-PERP"
