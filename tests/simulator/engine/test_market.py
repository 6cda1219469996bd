import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise

import pytest

from market_simulator.dialects.okx.instruments import made_instrument
from market_simulator.dialects.okx.protocol import checksum
from market_simulator.engine.book import Book
from market_simulator.engine.events import BookChange, Trades
from market_simulator.engine.instruments import Instrument
from market_simulator.engine.market import DEPTH, MarketPlan, instruments, market

ORIGIN_US = 1_767_225_600_000_000
PLAN = MarketPlan("7", ("BTC-USDT", "PEPE-USDT", "ETH-USDT-SWAP"), Fraction(50))

# Prints a digest of all messages of a market on every channel.
DIGEST = """
import hashlib
from fractions import Fraction
from itertools import islice
from market_simulator.dialects.okx import protocol as okx
from market_simulator.dialects.okx.instruments import made_instrument
from market_simulator.dialects.okx.publications import Publications
from market_simulator.engine.events import Key
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.venue import Venue

plan = MarketPlan("7", ("BTC-USDT", "ETH-USDT"), Fraction(50))
venue = Venue(instruments(plan, made_instrument))
publications = Publications(venue)
every = {Key(c, s) for c in okx.PUBLIC_CHANNELS | okx.BUSINESS_CHANNELS for s in plan.symbols}
digest, count = hashlib.sha256(), 0
for event in islice(with_beats(market(plan, 1_767_225_600_000_000), 60_000_000), 3000):
    venue.apply(event)
    for key, text in publications.publish(event, every):
        digest.update(text.encode())
        count += 1
print(count, digest.hexdigest())
"""


def digest(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_the_same_seed_gives_the_same_bytes_in_every_process() -> None:
    first, second = digest("1"), digest("2")
    assert first == second
    assert int(first.split()[0]) > 3000


def test_another_seed_gives_another_market() -> None:
    other = MarketPlan("8", PLAN.symbols, PLAN.rate)
    assert list(islice(market(PLAN, 0), 50)) != list(islice(market(other, 0), 50))


def test_market_of_a_symbol_does_not_depend_on_other_symbols() -> None:
    single = MarketPlan("7", ("BTC-USDT",), PLAN.rate)
    together = [e for e in islice(market(PLAN, 0), 600) if not hasattr(e, "instrument") or e.instrument == "BTC-USDT"]
    assert list(islice(market(single, 0), len(together))) == together


@pytest.mark.parametrize("symbol", PLAN.symbols)
def test_book_is_never_crossed_and_keeps_its_depth(symbol: str) -> None:
    book, previous = Book(), -1
    for event in islice(market(MarketPlan("7", (symbol,), Fraction(50)), ORIGIN_US), 3000):
        if isinstance(event, BookChange):
            book.apply(event.bids, event.asks)
            assert book.bids.key(0) < book.asks.key(0)
            assert len(book.bids) == len(book.asks) == DEPTH
            assert event.previous == previous
            assert event.sequence > previous + 1
            previous = event.sequence


def test_trades_consume_the_best_levels() -> None:
    book = Book()
    for event in islice(market(MarketPlan("3", ("BTC-USDT",), Fraction(50)), ORIGIN_US), 3000):
        if isinstance(event, BookChange):
            book.apply(event.bids, event.asks)
        elif isinstance(event, Trades):
            side = book.asks if event.rows[0].side == "buy" else book.bids
            best = side.best(len(event.rows))
            assert [row.price for row in event.rows] == [level.price for level in best]
            for row, level in zip(event.rows, best, strict=True):
                assert Decimal(row.size) <= Decimal(level.size)
                assert sum(map(Decimal, row.sizes)) == Decimal(row.size)
                assert all(Decimal(size) > 0 for size in row.sizes)


def test_trade_ids_step_by_one_per_fill_and_some_rows_are_merged() -> None:
    trades = [e for e in islice(market(PLAN, ORIGIN_US), 4000) if isinstance(e, Trades) and e.instrument == "BTC-USDT"]
    rows = [row for event in trades for row in event.rows]
    assert all(after.first_id == before.last_id + 1 for before, after in pairwise(rows))
    assert {len(row.sizes) for row in rows} >= {1, 2, 3, 6}
    assert any(len(event.rows) > 1 for event in trades)


@pytest.mark.parametrize("rate", [2, 500])
@pytest.mark.repeats
def test_the_rate_is_that_of_trades_and_books_messages_together(rate: int) -> None:
    count = 20_000
    events = list(islice(market(MarketPlan("1", ("BTC-USDT",), Fraction(rate)), 0), count))
    assert count / (events[-1].time_us / 1_000_000) == pytest.approx(rate, rel=0.1)


def test_checksums_hold_when_they_are_asked_for() -> None:
    book = Book()
    for event in islice(market(MarketPlan("7", ("BTC-USDT",), Fraction(50), checksum=checksum), 0), 300):
        if isinstance(event, BookChange):
            book.apply(event.bids, event.asks)
            assert event.checksum == checksum(book)


def test_prices_and_sizes_are_multiples_of_the_instruments_steps() -> None:
    listed: dict[str, Instrument] = {instrument.id: instrument for instrument in instruments(PLAN, made_instrument)}
    for event in islice(market(PLAN, 0), 2000):
        if isinstance(event, Trades):
            row = listed[event.instrument].row
            assert all(Decimal(trade.price) % Decimal(row["tickSz"]) == 0 for trade in event.rows)
            assert all(Decimal(size) % Decimal(row["lotSz"]) == 0 for trade in event.rows for size in trade.sizes)
