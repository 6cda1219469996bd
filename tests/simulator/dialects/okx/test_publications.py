import json
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.okx import protocol as okx
from market_simulator.dialects.okx.instruments import made_instrument
from market_simulator.dialects.okx.publications import Publications
from market_simulator.dialects.okx.recording import read_frame
from market_simulator.engine.events import BookChange, Event, Key, Tick, Trades
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.recording import RecordedState, read_recording
from market_simulator.engine.replay import recorded_keys, replay
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.venue import Venue

RECORDINGS = Path(__file__).parents[3] / "recordings" / "okx"
PLAN = MarketPlan("7", ("BTC-USDT",), Fraction(40))
START_US = 1_767_225_540_000_000  # 2025-12-31T23:59:00Z
EVERY = {Key(channel, "BTC-USDT") for channel in okx.PUBLIC_CHANNELS | okx.BUSINESS_CHANNELS}


def events(count: int) -> list[Event]:
    return list(islice(with_beats(market(PLAN, START_US), 60_000_000), count))


class Exchange:
    """A venue and its messages."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.publications = venue, Publications(venue)

    def publish(self, event: Event, wanted: set[Key]) -> list[tuple[int, Key, Any]]:
        """The messages of an event as (time in microseconds, stream, message)."""
        self.venue.apply(event)
        return [(event.time_us, key, json.loads(text)) for key, text in self.publications.publish(event, wanted)]

    def first_push(self, key: Key) -> str | None:
        return self.publications.of[key.instrument].present(key)


def run(count: int, wanted: set[Key] = EVERY) -> tuple[Exchange, list[tuple[int, Key, Any]]]:
    """The messages of a market."""
    exchange = Exchange(Venue(instruments(PLAN, made_instrument)))
    return exchange, [said for event in events(count) for said in exchange.publish(event, wanted)]


def on(channel: str, said: list[tuple[int, Key, Any]]) -> list[tuple[int, Any]]:
    return [(time_us, message) for time_us, key, message in said if key.channel == channel]


@pytest.mark.repeats
def test_messages_do_not_depend_on_the_subscriptions() -> None:
    _, everything = run(3000)
    for channel in ("tickers", "candle1s", "bbo-tbt", "trades"):
        _, only_one = run(3000, {Key(channel, "BTC-USDT")})
        assert on(channel, only_one) == on(channel, everything)


def test_every_trade_and_book_change_is_published_at_once() -> None:
    _, said = run(1000)
    happened = events(1000)
    assert len(on("trades", said)) == len(on("trades-all", said)) == sum(isinstance(e, Trades) for e in happened)
    assert len(on("books", said)) == sum(isinstance(e, BookChange) for e in happened)
    assert [m["action"] for _, m in on("books", said)[:2]] == ["snapshot", "update"]


def test_tickers_and_books5_come_every_100_ms_and_bbo_every_10_ms_at_most() -> None:
    _, said = run(3000)
    for channel, pace_us in (("tickers", 100_000), ("books5", 100_000), ("bbo-tbt", 10_000)):
        times = [time_us for time_us, _ in on(channel, said)]
        assert len(times) > 50
        assert all(after - before >= pace_us for before, after in pairwise(times))


def test_ticker_has_the_last_trade_and_the_best_prices() -> None:
    exchange, said = run(3000)
    row = json.loads(exchange.publications.of["BTC-USDT"].ticker() or "")
    last = on("trades", said)[-1][1]["data"][-1]
    board = exchange.venue.boards["BTC-USDT"]
    assert (row["last"], row["lastSz"]) == (last["px"], last["sz"])
    assert (row["bidPx"], row["askPx"]) == (board.book.bids.best(1)[0].price, board.book.asks.best(1)[0].price)
    prices = [float(r["px"]) for _, m in on("trades", said) for r in m["data"]]
    assert (float(row["low24h"]), float(row["high24h"])) == (min(prices), max(prices))
    assert row["sodUtc0"] != row["open24h"] or row["sodUtc8"] == row["open24h"]


def test_running_candles_come_at_most_once_a_second_and_closed_ones_once() -> None:
    _, said = run(3600)
    minutes = [(time_us, message["data"][0]) for time_us, message in on("candle1m", said)]
    assert minutes[-1][0] > START_US + 61_000_000
    running = [time_us for time_us, row in minutes if row[8] == "0"]
    assert all(after - before >= 1_000_000 for before, after in pairwise(running))
    (closed,) = [(time_us, row) for time_us, row in minutes if row[8] == "1"]
    assert closed[0] == START_US + 60_000_000
    volume = sum(float(r["sz"]) for t, m in on("trades", said) for r in m["data"] if t < closed[0])
    assert abs(float(closed[1][5]) - volume) < 1e-6


def test_new_subscriber_gets_the_current_state_except_for_trades() -> None:
    exchange, _ = run(2000)
    for key in EVERY:
        text = exchange.first_push(key)
        assert (text is None) == (key.channel in ("trades", "trades-all")), key
    snapshot = json.loads(exchange.first_push(Key("books", "BTC-USDT")) or "")
    assert len(snapshot["data"][0]["bids"]) == 400


def test_streams_have_no_state_before_the_first_event() -> None:
    exchange = Exchange(Venue([made_instrument("BTC-USDT", "0.1", "0.1")]))
    assert not any(exchange.first_push(key) for key in EVERY)
    assert exchange.publish(Tick(1_000_000), EVERY) == []


def test_recorded_tickers_are_published_as_recorded_and_not_derived() -> None:
    recording = read_recording(RECORDINGS / "ws_public_2022-05-13_btc.jsonl", read_frame, "OKX v5")
    listed = [made_instrument(name, "0.1", "1") for name in recording.names]
    exchange = Exchange(Venue(listed, recorded_keys([recording]), 1000))
    frames = with_beats(replay([recording], START_US, Fraction(1), okx.checksum), 60_000_000)
    said = [each for event in islice(frames, 420) for each in exchange.publish(event, EVERY)]
    frames_of_tickers = [f for f in recording.frames if f.channel == "tickers" and f.instrument == "BTC-USDT"]
    recorded = [row.row["last"] for f in frames_of_tickers for row in f.rows if isinstance(row, RecordedState)]
    assert [m["data"][0]["last"] for _, m in on("tickers", said)][: len(recorded)] == recorded
