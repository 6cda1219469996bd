"""Positions from a checkpoint, the operator's document or another pod may hold any numbers."""

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feed_life import BOOK, CANDLES, TRADES, at
from market_collector.errors import UNREADABLE
from market_collector.feed.checkpoint_state import Positions, StreamPosition, Written, positions, reported, resume
from market_collector.feed.handover import Handover, Takeover
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Trade
from record_lines import lines

NOTHING = Written({}, {}, {}, ())
FAR = 2**63 - 1
usual = st.integers(-3, 30)
numbers = st.one_of(usual, usual, usual, st.sampled_from([2**53, -(2**53), 2**62]), st.sampled_from([FAR, 10**400]))
pairs = st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=3)
names = st.sampled_from([str(TRADES), str(BOOK), str(CANDLES), "other/trade", ""])
texts = st.one_of(
    usual.map(str), usual.map(str), st.sampled_from(["", "9" * 18, "-1", "x", "9" * 5_000, "1.5", "²", "１"])
)
lines_of = st.fixed_dictionaries(
    {}, optional={"last": numbers, "time_ns": numbers, "holes": pairs, "head": numbers | st.none()}
)
gap_records = st.fixed_dictionaries(
    {
        "type": st.just("gap"),
        "exchange": st.just("okx"),
        "symbol": st.just("BTC-USDT"),
        "exchange_time_ns": st.none(),
        "receive_time_ns": numbers,
        "gap_id": texts,
        "stream": names,
        "from": texts | st.none(),
        "to": texts | st.none(),
        "from_time_ns": numbers | st.none(),
        "to_time_ns": numbers | st.none(),
        "missing": numbers | st.none(),
        "reason": texts,
    }
)
gaps = st.fixed_dictionaries(
    {"gap": gap_records}, optional={"recovered": numbers, "lost": pairs, "holes": pairs, "sink": st.just("out")}
)
losses = st.fixed_dictionaries({"sink": st.just("out"), "stream": names, "count": numbers}, optional={"ids": pairs})
checkpoints = st.fixed_dictionaries(
    {
        "streams": st.dictionaries(names, lines_of, max_size=3),
        "gaps": st.lists(gaps, max_size=2),
        "losses": st.lists(losses, max_size=2),
        "places": st.just({}),
    }
)
stream_positions = st.fixed_dictionaries(
    {"line": lines_of}, optional={"gaps": st.lists(gaps, max_size=2), "losses": st.lists(losses, max_size=2)}
)
by_name = st.dictionaries(names, stream_positions | st.none(), max_size=3)
pods = st.fixed_dictionaries({"address": st.just("10.0.0.1:8080"), "streams": by_name | st.none()})
handovers = st.fixed_dictionaries(
    {
        "contract": st.just(1),
        "ended": by_name,
        "running": st.dictionaries(st.sampled_from(["me", "a", "b"]), pods, max_size=3),
    }
)
LIMITS: Any = {
    "streams": {str(TRADES): {"last": FAR, "time_ns": FAR, "holes": [[9, 1]]}},
    "gaps": [],
    "losses": [],
    "places": {},
}


def ledger() -> Ledger:
    return Ledger("okx", [TRADES, BOOK, CANDLES], 60.0, at(0))


def decoded(document: Any, kind: Any) -> Any:
    """As a reader decodes it; None if it refuses it."""
    try:
        return msgspec.json.decode(json.dumps(document).encode(), type=kind)
    except UNREADABLE:
        return None


def live_on(book: Ledger) -> None:
    """Trades come, time passes, and the position is saved and reported."""
    trades = [Trade("okx", "BTC-USDT", n, n, str(n), str(n), 1, "buy", "1", "1") for n in (4, 7)]
    records = [*book.ids.take_trades(book.ids.streams[TRADES], trades, at(11)), *book.check_overdue(at(20))]
    lines(records)
    assert book.age(at(99)) == []
    saved = positions(book, [], {})
    msgspec.json.encode(saved)
    msgspec.json.encode(reported(book, saved))


@settings(max_examples=200)
@given(checkpoints)
@example(LIMITS)
def test_any_checkpoint_is_resumed_or_refused(checkpoint: Any) -> None:
    if (saved := decoded(checkpoint, Positions)) is not None:
        book = ledger()
        for effect in resume(book, saved, NOTHING, at(10)):
            lines(effect.records)
        live_on(book)


@settings(max_examples=200)
@given(handovers, by_name, handovers)
def test_any_positions_of_others_are_taken_over_or_refused(first: Any, answer: Any, second: Any) -> None:
    document, later = decoded(first, Handover), decoded(second, Handover)
    known = decoded(answer, dict[str, StreamPosition | None])
    if document is None or later is None or known is None:
        return
    book = ledger()
    takeover = Takeover(book, document, "me")
    saved, records = takeover.inherit(Positions({}, [], [], {}), NOTHING, at(10))
    effects = resume(book, saved, NOTHING, at(10))
    for uid in [*takeover.predecessors]:
        effects += takeover.on_report(uid, {name: each for name, each in known.items() if each}, at(12))
    effects += takeover.on_document(later, at(13))
    for uid in [*takeover.predecessors]:
        effects += takeover.on_gone(uid, at(14))
    effects += takeover.give_up(at(200))
    lines([*records, *(record for effect in effects for record in effect.records)])
    live_on(book)
