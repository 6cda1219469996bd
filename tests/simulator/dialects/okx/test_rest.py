import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

import pytest

from market_simulator.dialects.okx.instruments import made_instrument
from market_simulator.dialects.okx.publications import Publications
from market_simulator.dialects.okx.rest import ENDPOINTS, Call, RateLimits, answer
from market_simulator.engine.dialect import RestRequest, View
from market_simulator.engine.events import Tick
from market_simulator.engine.faults.calls import How, Page, Stale, Status
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue

PLAN = MarketPlan("7", ("BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP"), Fraction(40))
START_US = 1_767_225_540_000_000


class Exchange:
    """A market of some seconds with a REST client whose calls are half a second apart."""

    def __init__(self, count: int = 12_000) -> None:
        self.venue = Venue(instruments(PLAN, made_instrument))
        self.publications = Publications(self.venue)
        self.truth = Truth(PLAN.symbols, 100_000, 10_000)
        self.limits = RateLimits(True)
        self.at = 0.0
        self.view = View()
        self.how: How | None = None
        for event in islice(with_beats(market(PLAN, START_US), 60_000_000), count):
            self.venue.apply(event)
            self.publications.publish(event, ())
            self.truth.record(event, None if isinstance(event, Tick) else self.venue.boards[event.instrument].book)
        self.now_ms = self.truth.time_us // 1000

    def get(self, path: str, later: float = 0.5, ip: str = "127.0.0.1", **query: Any) -> tuple[int, Any]:
        self.at += later
        given = {name: str(value) for name, value in query.items()}
        request = RestRequest(f"/api/v5{path}", given, ip, self.at, self.now_ms, self.view, self.how)
        reply = answer(Call(request, self.venue, self.publications, self.truth), self.limits)
        return reply.status, json.loads(reply.body)

    def rows(self, path: str, **query: Any) -> list[Any]:
        status, body = self.get(path, **query)
        assert (status, body["code"], body["msg"]) == (200, "0", "")
        rows: list[Any] = body["data"]
        return rows


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange()


def test_the_time_is_the_exchanges(exchange: Exchange) -> None:
    assert exchange.rows("/public/time") == [{"ts": str(exchange.now_ms)}]


def test_instruments_are_listed_by_kind_and_by_name(exchange: Exchange) -> None:
    assert [r["instId"] for r in exchange.rows("/public/instruments", instType="SPOT")] == ["BTC-USDT", "ETH-USDT"]
    assert [r["instId"] for r in exchange.rows("/public/instruments", instType="SWAP")] == ["BTC-USDT-SWAP"]
    (row,) = exchange.rows("/public/instruments", instType="SPOT", instId="ETH-USDT")
    assert row["tickSz"] == "0.01"
    assert exchange.rows("/public/instruments", instType="OPTION") == []


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/public/instruments", {}, 400, "50014"),
        ("/public/instruments", {"instType": "spot"}, 200, "51000"),
        ("/public/instruments", {"instType": "SPOT", "instId": "NO-NO"}, 200, "51001"),
        ("/market/trades", {}, 400, "50014"),
        ("/market/trades", {"instId": "NO-NO"}, 200, "51001"),
        ("/market/history-trades", {"instId": "BTC-USDT", "after": "x"}, 200, "51000"),
        ("/market/history-trades", {"instId": "BTC-USDT", "type": "3"}, 200, "51000"),
        ("/market/books", {"instId": "BTC-USDT", "sz": "401"}, 200, "51000"),
        ("/market/candles", {"instId": "BTC-USDT", "bar": "7m"}, 200, "51000"),
        ("/market/nonsense", {}, 404, "404"),
    ],
)
def test_bad_calls_are_refused_in_the_exchanges_envelope(
    exchange: Exchange, path: str, query: dict[str, Any], status: int, code: str
) -> None:
    said, body = exchange.get(path, **query)
    assert (said, body["code"], body["data"]) == (status, code, [])
    assert body["msg"]


def test_trades_are_the_newest_single_fills(exchange: Exchange) -> None:
    history = exchange.truth.trades["BTC-USDT"]
    ids = [int(row["tradeId"]) for row in exchange.rows("/market/trades", instId="BTC-USDT", limit=500)]
    assert ids == list(range(history.last_id, history.last_id - 500, -1))
    assert len(exchange.rows("/market/trades", instId="BTC-USDT")) == 100
    assert len(exchange.rows("/market/trades", instId="BTC-USDT", limit=900)) == 500
    assert "count" not in exchange.rows("/market/trades", instId="BTC-USDT", limit=1)[0]


def test_history_walks_back_to_the_first_fill(exchange: Exchange) -> None:
    history, walked = exchange.truth.trades["BTC-USDT"], []
    after: dict[str, str] = {}
    while page := exchange.rows("/market/history-trades", instId="BTC-USDT", **after):
        assert len(page) <= 100
        walked += page
        after = {"after": page[-1]["tradeId"]}
    fills = list(history.fills(history.first_id, history.last_id))[::-1]
    assert [(r["tradeId"], r["sz"], r["px"], r["side"], r["ts"]) for r in walked] == [
        (str(f.id), f.size, f.row.price, f.row.side, str(f.row.ts_ms)) for f in fills
    ]


def test_history_newer_than_an_id_is_the_latest_page(exchange: Exchange) -> None:
    history = exchange.truth.trades["BTC-USDT"]
    page = exchange.rows("/market/history-trades", instId="BTC-USDT", before=history.first_id, limit=5)
    assert [int(row["tradeId"]) for row in page] == list(range(history.last_id, history.last_id - 5, -1))
    some = history.first_id + 10
    page = exchange.rows("/market/history-trades", instId="BTC-USDT", before=some, after=some + 4)
    assert [int(row["tradeId"]) for row in page] == [some + 3, some + 2, some + 1]


def test_history_pages_by_time_too(exchange: Exchange) -> None:
    middle = (START_US // 1000 + exchange.now_ms) // 2
    page = exchange.rows("/market/history-trades", instId="BTC-USDT", type=2, after=middle, limit=10)
    assert len(page) == 10
    assert all(int(row["ts"]) < middle for row in page)
    newer = exchange.rows(
        "/market/history-trades", instId="BTC-USDT", type=1, after=int(page[0]["tradeId"]) + 2, limit=1
    )
    assert int(newer[0]["ts"]) >= middle


def test_books_have_the_asked_depth_and_the_present_sequence(exchange: Exchange) -> None:
    (row,) = exchange.rows("/market/books", instId="BTC-USDT", sz=400)
    assert (len(row["bids"]), len(row["asks"])) == (400, 400)
    assert row["seqId"] == exchange.truth.books["BTC-USDT"].last_sequence
    (top,) = exchange.rows("/market/books", instId="BTC-USDT")
    assert (top["bids"], top["asks"]) == (row["bids"][:1], row["asks"][:1])


def test_tickers_of_a_kind_and_of_one(exchange: Exchange) -> None:
    (one,) = exchange.rows("/market/ticker", instId="ETH-USDT")
    many = exchange.rows("/market/tickers", instType="SPOT")
    assert [row["instId"] for row in many] == ["BTC-USDT", "ETH-USDT"]
    assert many[1] == one


@pytest.mark.parametrize("path", ["/market/candles", "/market/history-candles"])
def test_candles_page_by_their_opening_time(exchange: Exchange, path: str) -> None:
    newest = exchange.rows(path, instId="BTC-USDT", bar="1s", limit=300)
    opened = [int(row[0]) for row in newest]
    assert opened == sorted(opened, reverse=True)
    assert all(before - after == 1000 for before, after in pairwise(opened))
    assert [row[8] for row in newest[:2]] in (["0", "1"], ["0", "0"])
    older = exchange.rows(path, instId="BTC-USDT", bar="1s", after=opened[5], limit=3)
    assert [int(row[0]) for row in older] == opened[6:9]
    newer = exchange.rows(path, instId="BTC-USDT", bar="1s", before=opened[3])
    assert [int(row[0]) for row in newer] == opened[:3]


def test_a_candle_is_the_sum_of_its_fills(exchange: Exchange) -> None:
    row = exchange.rows("/market/candles", instId="BTC-USDT", bar="1m", limit=2)[-1]
    start = int(row[0])
    fills = [f for f in exchange.truth.trades["BTC-USDT"].fills(0, 1 << 62) if start <= f.row.ts_ms < start + 60_000]
    assert row[8] == "1"
    assert (row[1], row[4]) == (fills[0].row.price, fills[-1].row.price)
    assert float(row[5]) == pytest.approx(sum(float(f.size) for f in fills))


@pytest.mark.parametrize("path", [path.removeprefix("/api/v5") for path in ENDPOINTS])
def test_too_many_calls_are_refused_with_50011_and_http_429(exchange: Exchange, path: str) -> None:
    limit = ENDPOINTS[f"/api/v5{path}"].limit
    query = {"instId": "BTC-USDT", "instType": "SPOT"}
    exchange.at += 10
    said = [exchange.get(path, later=0.0, **query) for _ in range(limit.calls + 1)]
    assert [status for status, _ in said] == [200] * limit.calls + [429]
    assert said[-1][1]["code"] == "50011"
    assert exchange.get(path, later=0.0, ip="127.0.0.2", **query)[0] == 200
    assert exchange.get(path, later=limit.seconds, **query)[0] == 200


def test_limits_can_be_switched_off() -> None:
    exchange = Exchange(10)
    exchange.limits = RateLimits(False)
    assert {exchange.get("/public/time", later=0.0)[0] for _ in range(50)} == {200}


@pytest.fixture
def faulty(exchange: Exchange) -> Iterator[Exchange]:
    """The exchange with a view and a fault that a test can change."""
    yield exchange
    exchange.view, exchange.how = View(), None


def ids(rows: list[Any]) -> list[int]:
    return [int(row["tradeId"]) for row in rows]


@pytest.mark.parametrize(("status", "code"), [(429, "50011"), (500, "50026"), (503, "50001")])
def test_call_can_fail_with_okx_errors(faulty: Exchange, status: int, code: str) -> None:
    faulty.how = Status(status)
    said, body = faulty.get("/market/history-trades", instId="BTC-USDT")
    assert (said, body["code"], body["data"]) == (status, code, [])


def test_pages_can_be_short_empty_or_incomplete(faulty: Exchange) -> None:
    whole = ids(faulty.rows("/market/history-trades", instId="BTC-USDT", limit=10))
    for how, left in (
        (Page(first=3), whole[:3]),
        (Page(first=0), []),
        (Page(every=4), [n for p, n in enumerate(whole, 1) if p % 4]),
    ):
        faulty.how = how
        assert ids(faulty.rows("/market/history-trades", instId="BTC-USDT", limit=10)) == left


def test_a_stale_answer_lacks_the_newest_and_nothing_else(faulty: Exchange) -> None:
    last = faulty.truth.trades["BTC-USDT"].last_id
    candles = faulty.rows("/market/candles", instId="BTC-USDT", bar="1s", limit=10)
    faulty.how = Stale(4)
    for path in ("/market/history-trades", "/market/trades"):
        assert ids(faulty.rows(path, instId="BTC-USDT", limit=3)) == [last - 4, last - 5, last - 6]
    assert ids(faulty.rows("/market/history-trades", instId="BTC-USDT", after=last - 50, limit=1)) == [last - 51]
    assert faulty.rows("/market/candles", instId="BTC-USDT", bar="1s", limit=6) == candles[4:]


def test_trades_that_do_not_exist_are_on_no_page(faulty: Exchange) -> None:
    history = faulty.truth.trades["BTC-USDT"]
    last = history.last_id
    faulty.view = View(gaps=((0, history.first_id + 9), (last - 7, last - 5), (last - 3, last - 2)))
    assert ids(faulty.rows("/market/trades", instId="BTC-USDT", limit=5)) == [
        last,
        last - 1,
        last - 4,
        last - 8,
        last - 9,
    ]
    assert ids(faulty.rows("/market/history-trades", instId="BTC-USDT", after=last - 5, limit=2)) == [
        last - 8,
        last - 9,
    ]
    oldest = faulty.rows("/market/history-trades", instId="BTC-USDT", after=history.first_id + 12)
    assert ids(oldest) == [history.first_id + 11, history.first_id + 10]
    assert faulty.rows("/market/history-trades", instId="BTC-USDT", after=history.first_id + 10) == []


def test_an_instrument_can_be_in_its_call_auction(faulty: Exchange) -> None:
    faulty.view = View(preopen=frozenset({"ETH-USDT"}))
    states = {row["instId"]: row["state"] for row in faulty.rows("/public/instruments", instType="SPOT")}
    assert states == {"BTC-USDT": "live", "ETH-USDT": "preopen"}
