"""Order books to read: exact, equal to the exchange's, and without values whenever they are not proved."""

import asyncio
import decimal
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from library_collector import collector, comes, running
from market_collector.api.book import BookView
from market_collector.book.book import Book
from market_collector.errors import ConfigurationError, WrongLoopError
from market_collector.model.streams import DataType
from market_collector.records import Level, Lost, Orderbook
from simulator_process import Simulator

SECOND_NS = 1_000_000_000


def levels(*rows: tuple[str, str]) -> list[Level]:
    return [Level(*row) for row in rows]


def message(action: Any, bids: list[Level], asks: list[Level], sequence: int) -> Orderbook:
    return Orderbook("okx", "BTC-USDT", sequence * SECOND_NS, 0, action, bids, asks, sequence, sequence - 1)


BIDS, ASKS = levels(("99.98", "1"), ("9.5", "2"), ("100.00", "0.30")), levels(("100.01", "4"), ("100.1", "5"))


def view(bids: list[Level] = BIDS, asks: list[Level] = ASKS) -> tuple[BookView, Book]:
    book = Book(message("snapshot", bids, asks, 7), is_packed=True)
    return BookView("BTC-USDT", lambda: book), book


def values(book: BookView) -> tuple[object, ...]:
    return (book.sequence, book.as_of, book.bid, book.ask, book.mid, book.spread, book.levels())


NOTHING: tuple[object, ...] = (None, None, None, None, None, None, ([], []))


def test_prices_are_exact_whatever_the_context_of_decimals() -> None:
    with decimal.localcontext(decimal.Context(prec=3)):
        book, _ = view()
        assert (book.bid, book.ask) == (Decimal("100.00"), Decimal("100.01"))
        assert (book.mid, book.spread) == (Decimal("100.005"), Decimal("0.01"))


def test_levels_are_the_best_first_as_the_exchange_wrote_them() -> None:
    book, _ = view()
    assert book.levels(2) == (levels(("100.00", "0.30"), ("99.98", "1")), ASKS)
    assert book.levels() == (levels(("100.00", "0.30"), ("99.98", "1"), ("9.5", "2")), ASKS)


def test_sequence_and_time_are_those_of_the_newest_record() -> None:
    book, _ = view()
    assert (book.symbol, book.is_proved, book.sequence) == ("BTC-USDT", True, 7)
    assert book.as_of == datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)


def test_view_follows_each_update() -> None:
    book, present = view()
    assert book.spread == Decimal("0.01")
    present.apply(message("update", levels(("100.00", "0")), levels(("100.005", "1")), 8))
    assert (book.sequence, book.bid, book.ask) == (8, Decimal("99.98"), Decimal("100.005"))


def test_changed_list_of_levels_changes_no_book() -> None:
    book, _ = view()
    book.levels()[0].clear()
    assert book.bid == Decimal("100.00")


def test_side_without_levels_has_no_price() -> None:
    book, _ = view(bids=[])
    assert (book.is_proved, book.bid, book.ask, book.mid, book.spread) == (True, None, Decimal("100.01"), None, None)


@pytest.mark.parametrize("bid", ["100.01", "100.010", "100.02"])
def test_crossed_book_is_not_proved(bid: str) -> None:
    book, present = view()
    present.apply(message("update", levels((bid, "1")), [], 8))
    assert (book.is_proved, values(book)) == (False, NOTHING)
    present.apply(message("update", levels((bid, "0")), [], 9))
    assert (book.is_proved, book.bid) == (True, Decimal("100.00"))


def test_book_out_of_sync_has_no_values() -> None:
    present: list[Book | None] = [view()[1]]
    book = BookView("BTC-USDT", lambda: present[0])
    assert book.is_proved
    present[0] = None
    assert (book.is_proved, values(book)) == (False, NOTHING)


@pytest.mark.parametrize(
    ("count", "message"),
    [(0, "count: must be an integer from 1, not 0"), (True, "not true"), ("5", 'not "5"'), (1.0, r"not 1\.0")],
)
def test_number_of_levels_is_checked(count: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        view()[0].levels(count)


# -- of a collector


@pytest.fixture
def started(folder: object, nothing_is_left: None) -> Callable[..., Any]:
    """Makes a collector of order books; no task or thread may be left."""
    return lambda exchange, *types, **more: collector(exchange, *(types or (DataType.ORDERBOOK,)), **more)


def assert_true(exchange: Simulator, book: BookView) -> None:
    """The present book is that of the exchange after the same sequence."""
    (truth,) = exchange.lines(f"/truth/book?symbol={book.symbol}&sequence={book.sequence}")
    bids, asks = book.levels(100)
    assert [[level.price, level.amount] for level in bids] == truth["bids"][:100]
    assert [[level.price, level.amount] for level in asks] == truth["asks"][:100]
    assert (book.bid, book.ask) == (Decimal(truth["bids"][0][0]), Decimal(truth["asks"][0][0]))


@pytest.mark.simulator
async def test_book_of_each_symbol_is_the_exchanges(exchange: Simulator, started: Any) -> None:
    symbols = ["BTC-USDT", "ETH-USDT"]
    async with running(started(exchange, symbols=symbols)) as made:
        books = [made.book(symbol) for symbol in symbols]
        seen = set[tuple[str, int | None]]()
        while len(seen) < 20:
            for book in books:
                assert_true(exchange, book)
                seen.add((book.symbol, book.sequence))
            await asyncio.sleep(0)


@pytest.mark.simulator
async def test_book_is_at_or_ahead_of_the_record_in_a_stream(exchange: Simulator, started: Any) -> None:
    async with running(started(exchange)) as made:
        book, updates = made.book("BTC-USDT"), 0
        async for record in made.stream():
            assert isinstance(record, Orderbook)
            assert book.sequence is not None
            assert record.sequence is not None
            assert book.sequence >= record.sequence
            updates += 1
            if updates == 50:
                break


@pytest.mark.simulator
async def test_book_with_a_missing_update_has_no_values_until_it_is_true(exchange: Simulator, started: Any) -> None:
    async with running(started(exchange)) as made:
        book, events, states = made.book("BTC-USDT"), list[Any](), set[bool]()
        made.add_event_callback(lambda event: events.append(event.record))
        exchange.post("/faults/lose", {"channel": "books", "symbol": "BTC-USDT", "count": 1})
        async with asyncio.timeout(60):
            while not (any(isinstance(event, Lost) for event in events) and book.is_proved):
                states.add(book.is_proved)
                if book.is_proved:
                    assert_true(exchange, book)
                else:
                    assert values(book) == NOTHING
                await asyncio.sleep(0)
        assert_true(exchange, book)
    assert states == {True, False}


@pytest.mark.simulator
async def test_book_is_not_proved_while_its_connection_is_down(exchange: Simulator, started: Any) -> None:
    async with running(started(exchange)) as made:
        book = made.book("BTC-USDT")
        assert book.is_proved
        exchange.post("/faults/drop", {})
        await comes(lambda: not book.is_proved)
        assert values(book) == NOTHING
        await comes(lambda: book.is_proved)
        assert_true(exchange, book)


@pytest.mark.simulator
async def test_view_lives_over_a_stop_and_a_start(exchange: Simulator, started: Any) -> None:
    made = started(exchange)
    book = made.book("BTC-USDT")
    assert (book.is_proved, values(book)) == (False, NOTHING)
    for _ in range(2):
        async with running(made):
            assert book.is_proved
        assert (book.is_proved, values(book)) == (False, NOTHING)


@pytest.mark.simulator
async def test_another_event_loop_cannot_read_it(exchange: Simulator, started: Any) -> None:
    async with running(started(exchange)) as made:
        book = made.book("BTC-USDT")
        for call in (lambda: book.bid, lambda: book.levels(1), lambda: made.book("BTC-USDT")):
            with pytest.raises(WrongLoopError, match="belongs to the event loop of its start"):
                await asyncio.to_thread(call)


def test_symbol_that_is_not_collected_is_refused(exchange: Simulator, started: Any) -> None:
    message = r'^symbol: okx_btc_usdt does not collect "ETH-USDT"\. Add it to its symbols$'
    with pytest.raises(ConfigurationError, match=message):
        started(exchange).book("ETH-USDT")


def test_collector_without_order_books_has_no_book(exchange: Simulator, started: Any) -> None:
    message = r'collected with data_types \["trade"\], so "orderbook" would never come\. Add it to data_types'
    with pytest.raises(ConfigurationError, match=message):
        started(exchange, DataType.TRADE).book("BTC-USDT")
