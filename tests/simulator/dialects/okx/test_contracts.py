"""The channels and REST calls of OKX's derivatives."""

import json
from fractions import Fraction
from itertools import islice
from typing import Any

import pytest

from market_simulator.dialects.okx import protocol as okx
from market_simulator.dialects.okx.dialect import Okx
from market_simulator.dialects.okx.protocol import Path
from market_simulator.dialects.okx.session import Session
from market_simulator.engine.account import Account
from market_simulator.engine.contracts import Contract
from market_simulator.engine.dialect import RestRequest, ServerOptions
from market_simulator.engine.events import Key
from market_simulator.engine.faults.calls import How, Stale
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue

SWAP, SPOT, FUTURE = "BTC-USDT-SWAP", "BTC-USDT", "BTC-USDT-270326"
PLAN = MarketPlan("7", (SWAP, SPOT, FUTURE), Fraction(40))
START_US = 1_767_254_370_000_000  # 2026-01-01T07:59:30Z
LIQUIDATIONS = Key("liquidation-orders", "SWAP")
EVERY = {Key(channel, name) for channel in okx.CONTRACT_CHANNELS for name in PLAN.symbols} | {LIQUIDATIONS}


class Exchange:
    """A market of some seconds, and all messages about derivatives in it."""

    def __init__(self, count: int = 12_000) -> None:
        okx_dialect = Okx()
        self.venue = Venue(instruments(PLAN, okx_dialect.make_instrument))
        self.frontend = okx_dialect.open(self.venue, Truth(PLAN.symbols, 100, 100), Account(), ServerOptions())
        self.said: list[tuple[int, Key, Any]] = []
        for event in islice(with_beats(market(PLAN, START_US), 60_000_000), count):
            self.venue.apply(event)
            pushes = self.frontend.publish(event, EVERY)
            self.said += [(event.time_us, key, json.loads(text)) for key, text in pushes]

    @property
    def contract(self) -> Contract:
        found = self.venue.boards[SWAP].contract
        assert found is not None
        return found

    def rows(self, channel: str, instrument: str = SWAP) -> list[Any]:
        return [row for _, key, push in self.said if key == Key(channel, instrument) for row in push["data"]]

    def rest(self, path: str, how: How | None = None, **query: str) -> Any:
        request = RestRequest(f"/api/v5/public/{path}", query, "::1", 0.0, self.venue.now_ms, how=how)
        return json.loads(self.frontend.rest(request).body)


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange()


def test_each_new_state_is_pushed_once(exchange: Exchange) -> None:
    contract = exchange.contract
    assert [row["markPx"] for row in exchange.rows("mark-price")] == [each.price for each in contract.marks.rows]
    assert [row["ts"] for row in exchange.rows("open-interest")] == [str(e.ts_ms) for e in contract.interests.rows]
    rates = [
        (row["fundingRate"], int(row["fundingTime"]), row["settFundingRate"]) for row in exchange.rows("funding-rate")
    ]
    assert rates == [(each.rate, each.due_ms, each.settled) for each in contract.rates.rows]


def test_pushes_have_the_fields_of_the_recording(exchange: Exchange) -> None:
    """As in ws_public_2026-09-30_swap_funding_mark_oi.jsonl, without the bounds of the rate."""
    assert set(exchange.rows("mark-price")[0]) == {"instId", "instType", "markPx", "ts"}
    assert set(exchange.rows("open-interest")[0]) == {"instId", "instType", "oi", "oiCcy", "oiUsd", "ts"}
    push = next(push for _, key, push in exchange.said if key.channel == "funding-rate")
    assert push["arg"] == {"channel": "funding-rate", "instId": SWAP}
    assert {"fundingRate", "fundingTime", "nextFundingTime", "prevFundingTime", "settState"} < set(push["data"][0])


def test_open_interest_is_given_in_three_units(exchange: Exchange) -> None:
    row = exchange.rows("open-interest")[-1]
    contracts, base, dollars = (float(row[name]) for name in ("oi", "oiCcy", "oiUsd"))
    assert base == pytest.approx(contracts * 0.01)
    assert dollars / base == pytest.approx(float(exchange.contract.marks.rows[-1].price), rel=0.01)


def test_largest_liquidation_of_a_second_is_pushed(exchange: Exchange) -> None:
    pushed = [(time_us, push["data"]) for time_us, key, push in exchange.said if key == LIQUIDATIONS]
    assert len(pushed) > 5
    known = {(row.ts_ms, row.contracts): row for row in exchange.contract.liquidations.rows}
    for time_us, (row,) in pushed:
        (detail,) = row["details"]
        assert time_us % 1_000_000 == 0
        second = [e for e in known.values() if time_us // 1000 - 1000 <= e.ts_ms < time_us // 1000]
        assert float(detail["sz"]) == max(float(each.contracts) for each in second)
        assert (row["instId"], detail["posSide"]) == (SWAP, "long" if detail["side"] == "sell" else "short")
    assert len(pushed) < exchange.contract.liquidations.count


def test_future_has_no_funding_rate(exchange: Exchange) -> None:
    assert exchange.rows("mark-price", FUTURE)
    assert exchange.rest("funding-rate", instId=SPOT)["data"] == []


def test_new_subscriber_gets_the_present_state(exchange: Exchange) -> None:
    for channel in okx.CONTRACT_CHANNELS:
        (text,) = exchange.frontend.first(Key(channel, SWAP))
        assert json.loads(text)["data"] == [exchange.rows(channel)[-1]]
    assert exchange.frontend.first(LIQUIDATIONS) == []


@pytest.mark.parametrize("path", sorted(okx.CONTRACT_CHANNELS))
def test_rest_returns_the_present_state_or_a_stale_one(exchange: Exchange, path: str) -> None:
    assert exchange.rest(path, instId=SWAP)["data"] == [exchange.rows(path)[-1]]
    (stale,) = exchange.rest(path, Stale(1), instId=SWAP)["data"]
    assert stale["ts"] == exchange.rows(path)[-2]["ts"]
    assert exchange.rest(path, instId="NO-NO")["code"] == "51001"


@pytest.mark.parametrize(
    ("path", "key", "is_offered"),
    [
        (Path.PUBLIC, Key("funding-rate", SWAP), True),
        (Path.PUBLIC, Key("funding-rate", FUTURE), False),
        (Path.PUBLIC, Key("funding-rate", SPOT), False),
        (Path.PUBLIC, Key("mark-price", FUTURE), True),
        (Path.PUBLIC, Key("mark-price", SPOT), False),
        (Path.PUBLIC, LIQUIDATIONS, True),
        (Path.PUBLIC, Key("liquidation-orders", "SPOT"), False),
        (Path.PUBLIC, Key("liquidation-orders", SWAP), False),
        (Path.BUSINESS, LIQUIDATIONS, False),
    ],
)
def test_channels_are_offered_only_for_their_kinds(path: Path, key: Key, is_offered: bool) -> None:
    refused = okx.refusal(path, key, PLAN.symbols)
    assert (refused is None) == is_offered
    assert refused is None or refused[0] == ("64002" if path is Path.BUSINESS else "60018")


def test_liquidations_are_subscribed_by_type(exchange: Exchange) -> None:
    session = Session("a4d3ae55", Path.PUBLIC)
    request = {"op": "subscribe", "args": [{"channel": "liquidation-orders", "instType": "SWAP"}]}

    class Market:
        names = frozenset(PLAN.symbols)

        def subscribe_fault(self, key: Key, now: float) -> None:
            return None

        def first_pushes(self, key: Key) -> list[str]:
            return exchange.frontend.first(key)

    market_of_test: Any = Market()
    (answer,) = session.received(json.dumps(request), 0.0, market_of_test)
    assert json.loads(answer.text)["arg"] == request["args"][0]  # type: ignore[union-attr]
    assert list(session.subscriptions) == [LIQUIDATIONS]


def test_faults_name_a_push_by_its_time(exchange: Exchange) -> None:
    for channel in (*okx.CONTRACT_CHANNELS, "liquidation-orders"):
        key, push = next((key, push) for _, key, push in exchange.said if key.channel == channel)
        ts = push["data"][-1].get("ts") or push["data"][-1]["details"][-1]["ts"]
        assert Okx.words.identity(key, json.dumps(push)) == {"ts": ts}
