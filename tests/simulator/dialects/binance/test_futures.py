"""USD-M perpetuals: events of both paths, and REST."""

import json
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from market_simulator.dialects.binance import frames, futures
from market_simulator.dialects.binance.dialect import Binance, Frontend
from market_simulator.dialects.binance.publications import CUTS, variant
from market_simulator.dialects.binance.streams import StreamSession
from market_simulator.engine.account import Account
from market_simulator.engine.dialect import Reply, RestRequest, ServerOptions, View
from market_simulator.engine.events import BookChange, Key, Tick, Trades
from market_simulator.engine.faults.calls import How, Stale
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue

SPOT, PERPETUAL = "BTC-USDT", "BTC-USDT-PERP"
PLAN = MarketPlan("7", (SPOT, PERPETUAL), Fraction(40), fixed_kinds=Binance.fixed_kinds)
START_US = 1_767_225_540_000_000  # 2025-12-31T23:59:00Z
RECORDINGS = Path(__file__).parents[3] / "recordings" / "binance"


class Exchange:
    """A market of a minute, with a client of all streams of the perpetual."""

    def __init__(self, count: int = 6_000) -> None:
        self.venue = Venue(instruments(PLAN, Binance().make_instrument))
        self.truth = Truth(PLAN.symbols, 100_000, 30_000)
        self.frontend = Frontend(self.venue, self.truth, Account(), ServerOptions())
        self.changes: list[BookChange] = []
        self.trades: list[Trades] = []
        self.how: How | None = None
        self.said: list[tuple[int, Key, str]] = []
        streams = futures.PUBLIC | futures.MARKET
        wanted = {Key(name, PERPETUAL, variant(False, cut)) for name in streams for cut in range(CUTS)}
        for event in islice(with_beats(market(PLAN, START_US), 60_000_000), count):
            self.venue.apply(event)
            self.said += [(event.time_us, *push) for push in self.frontend.publish(event, wanted)]
            self.truth.record(event, None if isinstance(event, Tick) else self.venue.boards[event.instrument].book)
            self.changes += [event] if isinstance(event, BookChange) and event.instrument == PERPETUAL else []
            self.trades += [event] if isinstance(event, Trades) and event.instrument == PERPETUAL else []
        self.now_ms = self.truth.time_us // 1000

    def on(self, stream: str, cut: int = 0) -> list[Any]:
        wanted = Key(stream, PERPETUAL, variant(False, cut))
        return [json.loads(text) for _, key, text in self.said if key == wanted]

    def reply(self, call: str, api: str = "fapi/v1") -> Reply:
        path, _, query = call.partition("?")
        given = dict(parse_qsl(query))
        return self.frontend.rest(RestRequest(f"/{api}/{path}", given, "ip", 9.0, self.now_ms, View(), self.how, query))

    def get(self, call: str) -> Any:
        reply = self.reply(call)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange()


def keys_of(name: str, stream: str) -> list[str]:
    lines = map(json.loads, (RECORDINGS / f"{name}.jsonl").read_text().splitlines())
    events = (json.loads(entry["raw"]) for entry in lines)
    return list(next(event["data"] for event in events if event["stream"].endswith(f"@{stream}")))


@pytest.mark.parametrize("cut", range(CUTS))
@pytest.mark.parametrize("stream", list(futures.DEPTHS))
def test_updates_are_linked_by_pu_and_lead_to_the_book(exchange: Exchange, stream: str, cut: int) -> None:
    updates = exchange.on(stream, cut)
    assert list(updates[0]) == keys_of("ws_usdm_demo_2026-09-15_btcusdt_part1", "depth@100ms")
    assert all(after["pu"] == before["u"] for before, after in pairwise(updates))
    assert all(update["pu"] + 1 < update["U"] <= update["u"] for update in updates)
    opening = exchange.changes[0]
    sides = {"b": {r.price: r.size for r in opening.bids}, "a": {r.price: r.size for r in opening.asks}}
    for update in updates:
        for side, sizes in sides.items():
            sizes |= dict(update[side])
            sides[side] = {price: size for price, size in sizes.items() if Decimal(size)}
    state = exchange.truth.books[PERPETUAL].at(updates[-1]["u"])
    assert sides == {"b": {r.price: r.size for r in state.bids}, "a": {r.price: r.size for r in state.asks}}


def test_snapshot_is_bridged_by_a_later_update(exchange: Exchange) -> None:
    exchange.how = Stale(60)
    snapshot = exchange.get("depth?symbol=BTCUSDT&limit=1000")
    exchange.how = None
    last = snapshot["lastUpdateId"]
    bridges = [u for u in exchange.on("depth@100ms") if u["U"] <= last <= u["u"] or u["pu"] == last]
    assert len(bridges) == 1 or (len(bridges) == 2 and bridges[0]["u"] == last)
    assert len(snapshot["bids"]) == 400


def test_best_levels_have_two_times_and_all_decimals(exchange: Exchange) -> None:
    rows = exchange.on("bookTicker")
    assert list(rows[0]) == keys_of("ws_usdm_demo_2026-09-15_btcusdt_part1", "bookTicker")
    assert all(Decimal(row["b"]) < Decimal(row["a"]) and row["T"] <= row["E"] for row in rows)
    assert {len(row["b"].partition(".")[2]) for row in rows} == {1}


@pytest.mark.parametrize(("stream", "number"), [("trade", "t"), ("aggTrade", "a")])
def test_every_fill_is_a_trade_and_an_aggregate_trade(exchange: Exchange, stream: str, number: str) -> None:
    rows = [row for event in exchange.trades for row in event.rows]
    fills = [(row.first_id + place, size, row.side == "sell") for row in rows for place, size in enumerate(row.sizes)]
    assert [(event[number], event["q"], event["m"]) for event in exchange.on(stream)] == fills


def test_marks_carry_the_next_funding(exchange: Exchange) -> None:
    rows, contract = exchange.on("markPrice@1s"), exchange.venue.boards[PERPETUAL].contract
    assert list(rows[0]) == keys_of("ws_usdm_2026-09-30_markprice", "markPrice@1s")
    assert contract is not None
    marks = {Decimal(mark.price) for mark in contract.marks.rows}
    assert all(Decimal(row["p"]) in marks and row["T"] % 28_800_000 == 0 for row in rows)
    times = [time_us for time_us, key, _ in exchange.said if key.channel == "markPrice"]
    assert {after - before for before, after in pairwise(times)} == {3_000_000}


def test_largest_liquidation_of_a_second_is_published(exchange: Exchange) -> None:
    orders, contract = exchange.on("forceOrder"), exchange.venue.boards[PERPETUAL].contract
    assert contract is not None
    facts = [(fact.ts_ms, fact.side.upper(), fact.contracts) for fact in contract.liquidations.rows]
    published = [(event["o"]["T"], event["o"]["S"], event["o"]["q"]) for event in orders]
    assert 5 < len(published) < len(facts)
    start = 0
    for order in published:
        end = max(place for place, fact in enumerate(facts) if fact[0] // 1000 == order[0] // 1000) + 1
        assert Decimal(order[2]) == max(Decimal(fact[2]) for fact in facts[start:end])
        start = end
    assert all(after["E"] - before["E"] >= 1_000 for before, after in pairwise(orders))


def test_candles_have_blanks_and_tickers_no_bid(exchange: Exchange) -> None:
    texts = [text for _, key, text in exchange.said if key.channel == "kline_1m"]
    assert texts
    assert all(text.startswith('{"e":"kline", "E":') for text in texts)
    ticker = exchange.on("ticker")[-1]
    assert "c" in ticker
    assert not {"x", "b", "B", "a", "A"} & ticker.keys()


@pytest.mark.parametrize(
    ("path", "stream", "is_known"),
    [
        ("/public/ws", "btcusdt@depth@100ms", True),
        ("/market/ws", "btcusdt@depth@100ms", False),
        ("/market/stream", "btcusdt@aggTrade", True),
        ("/public/ws", "btcusdt@aggTrade", False),
        ("/market/ws", "btcusdt@kline_1s", False),
        ("/public/ws", "btcusdt@depth", False),
        ("/ws", "btcusdt@markPrice", False),
    ],
)
def test_stream_on_the_wrong_path_is_silent(exchange: Exchange, path: str, stream: str, is_known: bool) -> None:
    target = f"{path}?streams={stream}" if path.endswith("stream") else f"{path}/{stream}"
    session = exchange.frontend.session("00000001", target)
    assert isinstance(session, StreamSession)
    assert session.path == path
    session.opened(0.0, None)  # type: ignore[arg-type]  # streams in the URL ask nothing of the market
    (key,) = session.subscriptions
    assert (key.instrument == PERPETUAL) == is_known


def test_spot_and_perpetual_share_a_name_and_differ_by_path(exchange: Exchange) -> None:
    session = exchange.frontend.session("00000001", "/ws/btcusdt@trade")
    assert isinstance(session, StreamSession)
    session.opened(0.0, None)  # type: ignore[arg-type]  # streams in the URL ask nothing of the market
    assert [key.instrument for key in session.subscriptions] == [SPOT]
    names = [exchange.frontend.symbol(path, {"symbol": "BTCUSDT"}) for path in ("/api/v3/depth", "/fapi/v1/depth")]
    assert names == [SPOT, PERPETUAL]


def test_aggregate_trades_are_found_by_their_ids(exchange: Exchange) -> None:
    newest = exchange.get("aggTrades?symbol=BTCUSDT&limit=5")
    rows = exchange.get(f"aggTrades?symbol=BTCUSDT&fromId={newest[0]['a'] - 7}&limit=3")
    assert [row["a"] for row in rows] == [newest[0]["a"] - 7, newest[0]["a"] - 6, newest[0]["a"] - 5]
    last = exchange.truth.trades[PERPETUAL].last_id
    assert newest[-1]["a"] == last
    assert [row["a"] for row in exchange.get(f"aggTrades?symbol=BTCUSDT&fromId={last - 1}")] == [last - 1, last]


def test_contract_has_marks_and_interest_over_rest(exchange: Exchange) -> None:
    premium, contract = exchange.get("premiumIndex?symbol=BTCUSDT"), exchange.venue.boards[PERPETUAL].contract
    assert contract is not None
    mark, interest = contract.marks.newest(), contract.interests.newest()
    assert mark is not None
    assert interest is not None
    assert (Decimal(premium["markPrice"]), premium["time"]) == (Decimal(mark.price), mark.ts_ms)
    assert Decimal(exchange.get("openInterest?symbol=BTCUSDT")["openInterest"]) == interest.contracts
    assert [row["symbol"] for row in exchange.get("premiumIndex")] == ["BTCUSDT"]


def test_paid_funding_rates_are_the_settled_ones(exchange: Exchange) -> None:
    contract = exchange.venue.boards[PERPETUAL].contract
    assert contract is not None
    paid = {rate.due_ms - 28_800_000: Decimal(rate.settled) for rate in contract.rates.rows}
    rows = exchange.get("fundingRate?symbol=BTCUSDT")
    assert {row["fundingTime"]: Decimal(row["fundingRate"]) for row in rows} == paid
    assert [*paid] == [1_767_196_800_000, 1_767_225_600_000]
    (last,) = exchange.get("fundingRate?symbol=BTCUSDT&limit=1")
    before = [mark for mark in contract.marks.rows if mark.ts_ms <= last["fundingTime"]]
    assert (last, Decimal(last["markPrice"])) == (rows[-1], Decimal(before[-1].price))
    assert (rows[0]["markPrice"], last["symbol"]) == ("", "BTCUSDT")


def test_ticker_over_rest_has_the_last_trade_and_no_best_prices(exchange: Exchange) -> None:
    row = exchange.get("ticker/24hr?symbol=BTCUSDT")
    assert row["lastId"] == exchange.truth.trades[PERPETUAL].last_id
    assert not {"prevClosePrice", "bidPrice", "bidQty", "askPrice", "askQty"} & row.keys()
    assert [each["symbol"] for each in exchange.get("ticker/24hr")] == ["BTCUSDT"]


def test_candle_over_rest_equals_its_event(exchange: Exchange) -> None:
    closed = [event["k"] for event in exchange.on("kline_1m") if event["k"]["x"]]
    rows = {row[0]: row[1:6] for row in exchange.get("klines?symbol=BTCUSDT&interval=1m&limit=5")}
    assert closed
    assert all([kline[name] for name in "ohlcv"] == rows[kline["t"]] for kline in closed)


def test_instruments_are_perpetuals_only(exchange: Exchange) -> None:
    (row,) = exchange.get("exchangeInfo")["symbols"]
    assert (row["contractType"], row["filters"][0]["tickSize"], row["filters"][1]["stepSize"]) == (
        "PERPETUAL",
        "0.1",
        "0.01",
    )
    assert "serverTime" in exchange.get("time")
    rows = exchange.get("klines?symbol=BTCUSDT&interval=1m&limit=2")
    assert rows[1][0] - rows[0][0] == 60_000
    assert frames.native(PERPETUAL) == frames.native(SPOT)


@pytest.mark.parametrize(
    ("call", "weight"),
    [("depth?limit=50", 2), ("depth?limit=1000", 20), ("klines?limit=1", 1), ("klines?limit=499", 2), ("klines", 5)],
)
def test_used_weight_grows_with_the_rows(call: str, weight: int) -> None:
    path, _, query = call.partition("?")
    reply = Exchange(200).reply(f"{path}?symbol=BTCUSDT&interval=1m&{query}")
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_weight_is_limited_apart_from_spot() -> None:
    exchange = Exchange(200)
    replies = [exchange.reply("depth?symbol=BTCUSDT&limit=1000") for _ in range(135)]
    assert [reply.status for reply in replies] == [200] * 120 + [429] * 10 + [418] * 5
    assert "current limit is 2400 request weight" in json.loads(replies[120].body)["msg"]
    assert exchange.reply("time", "api/v3").status == 200
    assert Exchange(200).get("exchangeInfo")["rateLimits"][0]["limit"] == 2400
