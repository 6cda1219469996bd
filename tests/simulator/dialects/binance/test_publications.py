import json
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

import pytest

from market_simulator.dialects.binance import frames
from market_simulator.dialects.binance.instruments import made_instrument
from market_simulator.dialects.binance.publications import CUTS, Publisher, variant
from market_simulator.engine.events import BookChange, Event, Key, Trades
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.publications import Publications
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.venue import Venue

PLAN = MarketPlan("7", ("BTC-USDT",), Fraction(40))
START_US = 1_767_225_540_000_000  # 2025-12-31T23:59:00Z
EVERY = {
    Key(stream, "BTC-USDT", variant(is_combined, cut))
    for stream in frames.STREAMS
    for is_combined in (False, True)
    for cut in range(CUTS)
}


def events(count: int) -> list[Event]:
    return list(islice(with_beats(market(PLAN, START_US), 60_000_000), count))


def run(count: int, wanted: set[Key] = EVERY) -> tuple[Venue, list[tuple[int, Key, Any]]]:
    venue = Venue(instruments(PLAN, made_instrument))
    publications, said = Publications(venue, Publisher), []
    for event in events(count):
        venue.apply(event)
        said += [(event.time_us, key, json.loads(text)) for key, text in publications.publish(event, wanted)]
    return venue, said


def on(stream: str, said: list[tuple[int, Key, Any]], form: str = "raw/0") -> list[Any]:
    return [message for _, key, message in said if (key.channel, key.variant) == (stream, form)]


def test_every_fill_is_an_event_with_the_next_id() -> None:
    _, said = run(1000)
    fills = [
        (row.first_id + place, Decimal(size), row.side == "sell")
        for event in events(1000)
        if isinstance(event, Trades)
        for row in event.rows
        for place, size in enumerate(row.sizes)
    ]
    assert [(m["t"], Decimal(m["q"]), m["m"]) for m in on("trade", said)] == fills
    assert all(after["t"] == before["t"] + 1 for before, after in pairwise(on("trade", said)))


def test_combined_events_are_the_raw_ones_with_their_stream() -> None:
    _, said = run(2000)
    for stream in ("trade", "depth@100ms", "bookTicker", "ticker", "kline_1m"):
        wrapped = on(stream, said, "combined/0")
        assert {message["stream"] for message in wrapped} == {f"btcusdt@{stream}"}
        assert [message["data"] for message in wrapped] == on(stream, said)


@pytest.mark.parametrize("stream", list(frames.DEPTHS))
@pytest.mark.parametrize("cut", range(CUTS))
def test_depth_updates_are_linked_and_lead_to_the_book(stream: str, cut: int) -> None:
    venue, said = run(4000)
    updates = on(stream, said, f"raw/{cut}")
    assert len(updates) > 20
    assert all(after["U"] == before["u"] + 1 and before["U"] <= before["u"] for before, after in pairwise(updates))
    opening = next(event for event in events(10) if isinstance(event, BookChange))
    sides = {"b": {frames.eight(r.price): frames.eight(r.size) for r in opening.bids},
             "a": {frames.eight(r.price): frames.eight(r.size) for r in opening.asks}}  # fmt: skip
    changes = {e.sequence: e for e in events(4000) if isinstance(e, BookChange)}
    assert updates[0]["U"] == opening.sequence + 1
    assert all(update["u"] in changes for update in updates)
    for update in updates:
        for side, sizes in sides.items():
            sizes |= dict(update[side])
            sides[side] = {price: size for price, size in sizes.items() if Decimal(size)}
    book = venue.boards["BTC-USDT"].book
    waiting = [change for number, change in changes.items() if number > updates[-1]["u"]]
    for rows, side in ((book.bids.best(), "b"), (book.asks.best(), "a")):
        late = {level.price for change in waiting for level in (*change.bids, *change.asks)}
        truth = {frames.eight(r.price): frames.eight(r.size) for r in rows if r.price not in late}
        assert {p: s for p, s in sides[side].items() if p not in {frames.eight(price) for price in late}} == truth


def test_connections_get_differently_cut_depth_updates() -> None:
    _, said = run(3000)
    ranges = [{(m["U"], m["u"]) for m in on("depth@100ms", said, f"raw/{cut}")} for cut in range(CUTS)]
    assert ranges[0] != ranges[1] != ranges[2] != ranges[0]


def test_book_ticker_has_the_best_levels_after_its_update() -> None:
    _, said = run(1000)
    changes = {event.sequence for event in events(1000) if isinstance(event, BookChange)}
    messages = on("bookTicker", said)
    assert len(messages) > 50
    assert all(m["u"] in changes and Decimal(m["b"]) < Decimal(m["a"]) and "e" not in m for m in messages)


def test_ticker_comes_once_a_second_with_the_last_trade() -> None:
    _, said = run(3000)
    times = [time_us for time_us, key, _ in said if key == Key("ticker", "BTC-USDT", "raw/0")]
    assert len(times) > 20
    assert all(after - before >= 1_000_000 for before, after in pairwise(times))
    last, trade = on("ticker", said)[-1], [m for m in on("trade", said) if m["E"] <= on("ticker", said)[-1]["E"]][-1]
    assert (last["c"], last["Q"] != "", last["L"]) == (trade["p"], True, trade["t"])
    assert last["n"] == last["L"] - last["F"] + 1


def test_candle_is_closed_once_and_has_all_fills() -> None:
    _, said = run(3600)
    (closed,) = [m["k"] for m in on("kline_1m", said) if m["k"]["x"]]
    fills = [m for m in on("trade", said) if closed["f"] <= m["t"] <= closed["L"]]
    assert closed["n"] == len(fills)
    assert Decimal(closed["v"]) == sum(Decimal(m["q"]) for m in fills)
    assert Decimal(closed["V"]) == sum(Decimal(m["q"]) for m in fills if not m["m"])
    assert (closed["o"], closed["c"]) == (fills[0]["p"], fills[-1]["p"])


def test_second_without_a_trade_is_closed_empty() -> None:
    quiet = MarketPlan("7", ("BTC-USDT",), Fraction("0.2"))
    venue = Venue(instruments(quiet, made_instrument))
    publications, closed = Publications(venue, Publisher), []
    for event in islice(with_beats(market(quiet, START_US), 60_000_000), 600):
        venue.apply(event)
        found = publications.publish(event, {Key("kline_1s", "BTC-USDT", "raw/0")})
        closed += [m["k"] for m in (json.loads(text) for _, text in found) if m["k"]["x"]]
    assert all(after["t"] == before["t"] + 1000 for before, after in pairwise(closed))
    assert {k["n"] > 0 for k in closed} == {True, False}
    assert all((k["f"], k["L"]) == (-1, -1) for k in closed if not k["n"])
