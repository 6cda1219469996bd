"""Identity of records, and which record of an identity wins."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from market_collector.model.events import Balance, Candle, Data, Instrument, Quote, Record, Trade
from market_collector.model.identity import identity, supersedes, union
from records import (
    at,
    candle,
    funding,
    gap,
    instrument,
    liquidation,
    mark_price,
    open_interest,
    quote,
    snapshot,
    ticker,
    trade,
    update,
)

PAGE = Path(__file__).parents[3] / "docs" / "records.md"
BALANCE = Balance("okx", "account", at(1), at(2), "USDT", "1", "1", "0")
RECORDS: list[Data | Instrument] = [
    quote(1),
    trade(1),
    snapshot(1),
    update(1, 2),
    ticker(1),
    candle(1),
    BALANCE,
    instrument(1),
    funding(1),
    funding(1, kind="settled"),
    mark_price(1),
    open_interest(1),
    liquidation(1),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_receive_time_does_not_change_the_identity(record: Data | Instrument) -> None:
    assert identity(replace(record, receive_time_ns=at(9))) == identity(record)


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (trade(1), {"backfilled": True, "sequence": 7}),
        (update(1, 2), {"checksum": 7}),
        (quote(1), {"exchange_time_ns": None}),
        (candle(1), {"closed": False, "volume": "9", "backfilled": True}),
        (funding(1, kind="settled"), {"exchange_time_ns": at(2), "interval_s": None}),
    ],
)
def test_other_fields_do_not_change_the_identity(record: Data | Instrument, change: dict[str, object]) -> None:
    assert identity(replace(record, **change)) == identity(record)


def test_records_of_different_types_differ() -> None:
    assert len({identity(record) for record in RECORDS}) == len(RECORDS)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("change", [{"symbol": "ETH-USDT"}, {"exchange": "kraken"}])
def test_exchange_and_symbol_belong_to_the_identity(record: Data | Instrument, change: dict[str, str]) -> None:
    assert identity(replace(record, **change)) != identity(record)


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (trade(1), {"trade_id": "2"}),
        (trade(1), {"exchange_time_ns": at(7)}),
        (update(1, 2), {"sequence": 3}),
        (update(1, 2), {"exchange_time_ns": at(7)}),
        (update(1, 2), {"action": "snapshot"}),
        (snapshot(1), {"cause": "interval"}),
        (candle(1), {"interval": "1h"}),
        (candle(1), {"open_time_ns": 60}),
        (ticker(1), {"bid": "2"}),
        (BALANCE, {"asset": "BTC"}),
        (BALANCE, {"exchange_time_ns": at(7)}),
        (BALANCE, {"total": "2"}),
        (instrument(1), {"valid_from_ns": at(7)}),
        (quote(1), {"sequence": 9}),
        (quote(1), {"bid": "9"}),
    ],
)
def test_each_part_of_the_identity_counts(record: Data | Instrument, change: dict[str, object]) -> None:
    assert identity(replace(record, **change)) != identity(record)


def documented(kind: str) -> set[str]:
    """The fields in the table of identities; ``receive_time_ns`` stands for all others."""
    rows = PAGE.read_text().split("\n## Identity\n")[1].split("\n## ")[0].splitlines()
    (fields,) = [cells[2] for row in rows if len(cells := row.split("|")) > 2 and f"`{kind}`" in cells[1]]
    return set(re.findall(r"`(\w+)`", fields))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_document_names_exactly_the_fields_of_an_identity(record: Data | Instrument) -> None:
    names = {*record.__struct_fields__} - {"exchange", "symbol"}
    changed = {name: replace(record, **{name: "another"}) for name in names if name != "receive_time_ns"}
    parts = {name for name, other in changed.items() if identity(other) != identity(record)}
    kind = "settled" if getattr(record, "kind", "") == "settled" else type(record).__name__.lower()
    known = documented(kind)
    assert parts == (names - known if known == {"receive_time_ns"} else known)


def test_live_trade_wins_over_a_backfilled_one() -> None:
    live, backfilled = replace(trade(1), receive_time_ns=at(9)), trade(1, backfilled=True)
    assert (supersedes(live, backfilled), supersedes(backfilled, live)) == (True, False)


def test_quote_with_an_exchange_time_wins_over_one_without() -> None:
    timed, timeless = replace(quote(1), receive_time_ns=at(9)), replace(quote(1), exchange_time_ns=None)
    assert (supersedes(timed, timeless), supersedes(timeless, timed)) == (True, False)


def test_closed_candle_wins_then_the_later_one() -> None:
    closed, running = candle(1), candle(1, closed=False)
    later_open = replace(running, receive_time_ns=running.receive_time_ns + 1)
    ranked: list[Candle] = [running, later_open, closed, replace(closed, receive_time_ns=closed.receive_time_ns + 1)]
    for worse, better in pairwise(ranked):
        assert (supersedes(better, worse), supersedes(worse, better)) == (True, False)


def test_record_received_first_wins_otherwise() -> None:
    early, late = snapshot(1), replace(snapshot(1), receive_time_ns=at(9))
    assert (supersedes(early, late), supersedes(late, early)) == (True, False)


def test_events_of_all_replicas_are_kept() -> None:
    replica: list[Record] = [gap("g", 1, 2), trade(1)]
    assert union(replica, replica[::-1]) == [*replica, gap("g", 1, 2)]


Fact = Data | Instrument
FACTS: list[Fact] = [
    *(trade(number) for number in (1, 2)),
    snapshot(1), update(1, 2), update(2, 3), *(candle(minute) for minute in (1, 2)), ticker(1), ticker(2), BALANCE, quote(3), instrument(1),
]  # fmt: skip


def winner(fact: Fact) -> Fact:
    """The state of a fact that no other one supersedes, with the values that a replica in time has."""
    return replace(fact, receive_time_ns=at(100))


@st.composite
def replicas(draw: st.DrawFn) -> list[list[Fact]]:
    """Two replicas with faults: late, backfilled, unfinished, repeated or missing, but each fact is in one of them."""
    found: list[list[Fact]] = [[], []]
    for fact in FACTS:
        (owner, other) = draw(st.permutations([0, 1]))
        found[owner].append(winner(fact))
        for replica in draw(st.lists(st.sampled_from([owner, other]), max_size=3)):
            found[replica].append(draw(worse(fact)))
    return [draw(st.permutations(each)) for each in found]


def worse(fact: Fact) -> st.SearchStrategy[Fact]:
    """States of the fact that lose against `winner`, each by the rule of its type."""
    later, earlier = st.integers(at(101), at(200)), st.integers(at(1), at(99))
    match fact:
        case Trade():
            live = st.builds(lambda ns: replace(fact, receive_time_ns=ns), later)
            backfilled = st.builds(
                lambda ns: replace(fact, receive_time_ns=ns, backfilled=True, sequence=None), later | earlier
            )
            return live | backfilled
        case Candle():
            closed = st.builds(lambda ns: replace(fact, receive_time_ns=ns), earlier)
            running = st.builds(lambda ns: replace(fact, receive_time_ns=ns, closed=False, volume="0"), later | earlier)
            return closed | running
        case Quote():
            timed = st.builds(lambda ns: replace(fact, receive_time_ns=ns), later)
            timeless = st.builds(lambda ns: replace(fact, receive_time_ns=ns, exchange_time_ns=None), later | earlier)
            return timed | timeless
    return st.builds(lambda ns: replace(fact, receive_time_ns=ns), later)


@given(replicas=replicas())
def test_union_of_two_replicas_has_each_fact_once_in_its_best_state(replicas: list[list[Fact]]) -> None:
    expected = {identity(fact): winner(fact) for fact in FACTS}
    for order in (replicas, replicas[::-1], [union(*replicas)]):
        found = union(*order)
        assert len(found) == len(expected)
        assert {identity(record): record for record in found} == expected


@given(replicas=replicas())
def test_upsert_of_any_order_ends_with_the_best_state(replicas: list[list[Fact]]) -> None:
    """A database compares each new row with its own only."""
    table: dict[object, Fact] = {}
    for record in [*replicas[1], *replicas[0]]:
        key = identity(record)
        if key not in table or supersedes(record, table[key]):
            table[key] = record
    assert table == {identity(fact): winner(fact) for fact in FACTS}
