"""Mark prices, open interest, funding rates and liquidations of a derivative."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise

from market_simulator.dialects.okx.instruments import made_instrument
from market_simulator.engine.contracts import FUNDING_MS, INTEREST_US, MARK_US, Contract, History, Mark
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.venue import Board, Venue

SWAP = "BTC-USDT-SWAP"
BEFORE_PAYMENT_US = 1_767_254_370_000_000  # 2026-01-01T07:59:30Z


def run(
    symbols: Sequence[str] = (SWAP,), count: int = 5000, start_us: int = BEFORE_PAYMENT_US, rate: int = 40
) -> Board:
    """The board of the first symbol after so many events."""
    plan = MarketPlan("7", tuple(symbols), Fraction(rate))
    venue = Venue(instruments(plan, made_instrument))
    for event in islice(with_beats(market(plan, start_us), 60_000_000), count):
        venue.apply(event)
    return venue.boards[symbols[0]]


def contract(*symbols: str, count: int = 5000, rate: int = 40) -> Contract:
    found = run(symbols or (SWAP,), count, rate=rate).contract
    assert found is not None
    return found


def test_mark_price_is_the_middle_of_the_book() -> None:
    board = run(count=1000)
    assert board.contract is not None
    newest = board.contract.marks.newest()
    assert newest is not None
    bid, ask = Decimal(board.book.bids.best(1)[0].price), Decimal(board.book.asks.best(1)[0].price)
    assert abs(Decimal(newest.price) - (bid + ask) / 2) < Decimal(newest.price) / 1000
    assert abs(Decimal(newest.index) / Decimal(newest.price) - 1) < Decimal("0.001")


def test_mark_prices_change_at_most_five_times_a_second() -> None:
    rows = contract().marks.rows
    assert len(rows) > 100
    assert all(b.ts_ms - a.ts_ms >= MARK_US // 1000 for a, b in pairwise(rows))
    assert all(a.price != b.price or b.ts_ms - a.ts_ms >= 10_000 for a, b in pairwise(rows))


def test_unchanged_mark_price_is_repeated() -> None:
    rows = contract(count=700, rate=1).marks.rows
    assert any(a.price == b.price for a, b in pairwise(rows))


def test_open_interest_follows_the_trades() -> None:
    made = contract()
    rows = list(made.interests.rows)
    assert len(rows) > 10
    assert all(a.contracts != b.contracts for a, b in pairwise(rows))
    assert all(row.contracts >= 0 for row in rows)
    assert rows[0].ts_ms == made.marks.rows[0].ts_ms
    assert all(row.ts_ms % (INTEREST_US // 1000) == 0 for row in rows[1:])


def test_rate_is_settled_at_the_time_of_payment() -> None:
    rows = list(contract().rates.rows)
    before, after = rows[0], rows[-1]
    assert (before.due_ms, after.due_ms) == (1_767_254_400_000, 1_767_254_400_000 + FUNDING_MS)
    (last_before,) = [r for r, n in pairwise(rows) if r.due_ms != n.due_ms]
    assert {r.settled for r in rows if r.due_ms == after.due_ms} == {last_before.rate}


def test_liquidations_are_a_part_of_the_trades() -> None:
    found = contract().liquidations
    assert 0 < found.count < 400
    assert {row.side for row in found.rows} == {"buy", "sell"}


def test_other_symbols_change_nothing() -> None:
    single = contract(count=2000)
    both = contract(SWAP, "ETH-USDT-SWAP", count=4200)
    shared = min(len(single.marks.rows), len(both.marks.rows))
    assert list(single.marks.rows)[:shared] == list(both.marks.rows)[:shared]


def test_spot_instrument_has_none() -> None:
    assert run(("BTC-USDT",), 10).contract is None


def test_history_returns_what_is_new() -> None:
    history = History[Mark]()
    assert history.newest() is None
    for number in range(3):
        history.add(Mark(number, "1", "1"))
    assert [row.ts_ms for row in history.after(1)] == [2, 1]
    assert [history.newest(lag) for lag in (0, 2, 9)] == [history.rows[2], history.rows[0], history.rows[0]]
