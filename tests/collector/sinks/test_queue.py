"""The queue keeps the order and its limit, and reports dropped records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaginary_exchange import NAME, ImaginaryExchange
from market_collector.exchanges import EXCHANGES
from market_collector.feed.ledger import Loss
from market_collector.model.events import Candle, Connected, Dropped, Level, Orderbook, Raw, Record, Ticker, Trade
from market_collector.sinks.queue import EVENT_ROOM, Queue, dense_number, stream_name, weight
from records import funding, header, instrument, liquidation, mark_price, open_interest, quote, snapshot


def queue_of(limit: int) -> Queue:
    """One that keeps records as they are."""
    return Queue("out", limit, lambda record: record)


def trade(number: int, symbol: str = "BTC-USDT") -> Trade:
    return Trade("okx", symbol, None, number, str(number), str(number), 1, "buy", "1", "1")


def trades(*numbers: int) -> list[Record]:
    return [trade(number) for number in numbers]


def test_a_record_stays_until_it_is_acknowledged() -> None:
    queue = queue_of(10)
    queue.put(trades(1, 2, 3), "slow")
    assert queue.next_batch(2) == trades(1, 2)
    queue.mark_written(2)
    assert (len(queue), queue.waiting, queue.written, queue.acknowledged) == (3, 1, 2, 0)
    queue.acknowledge()
    assert (len(queue), queue.waiting, queue.written, queue.acknowledged) == (1, 1, 0, 2)
    assert queue.next_batch(9) == trades(3)


def test_rewound_records_are_written_again_first() -> None:
    queue = queue_of(10)
    queue.put(trades(1, 2, 3), "slow")
    queue.mark_written(2)
    queue.rewind()
    assert queue.next_batch(9) == trades(1, 2, 3)


def test_header_starts_a_batch_and_is_not_counted() -> None:
    queue = queue_of(10)
    queue.put(trades(1), "slow")
    queue.start_file([header(), snapshot(5)])
    queue.put(trades(2), "slow")
    assert (len(queue), queue.waiting, queue.has_header, queue.is_at_header) == (2, 4, True, False)
    assert queue.next_batch(9) == trades(1)
    queue.mark_written(1)
    assert queue.is_at_header
    assert queue.next_batch(9) == [header(), snapshot(5), *trades(2)]
    queue.mark_written(3)
    queue.rewind()
    assert queue.next_batch(9) == trades(1)
    queue.mark_written(1)
    queue.acknowledge()
    queue.mark_written(1)
    queue.acknowledge()
    assert (queue.has_header, queue.is_at_header, queue.acknowledged) == (False, False, 1)
    assert queue.next_batch(1) == [snapshot(5)]
    queue.mark_written(2)
    queue.acknowledge()
    assert queue.acknowledged == 2


def test_full_queue_accepts_fitting_records_and_counts_the_others() -> None:
    queue = queue_of(2)
    queue.put(trades(1, 2, 3, 4), "slow")
    assert (len(queue), queue.dropped, queue.is_losing) == (2, 2, True)


def test_written_records_count_against_the_bound_until_they_are_safe() -> None:
    queue = queue_of(2)
    queue.put(trades(1, 2), "slow")
    queue.mark_written(2)
    queue.put(trades(3), "slow")
    assert queue.dropped == 1


def book(levels: int) -> Orderbook:
    return Orderbook("okx", "A-B", None, 1, "snapshot", [Level("1", "1")] * levels, [], 1, None)


def test_books_fill_the_queue_by_their_levels() -> None:
    queue = queue_of(200)
    queue.put([book(400), book(400), trade(1)], "slow")  # the trade would fit, but must not overtake the second book
    assert (len(queue), queue.dropped) == (1, 2)
    queue.mark_written(1)
    queue.acknowledge()
    queue.put(trades(2), "slow")
    assert [type(record) for record in queue.next_batch(9)] == [Dropped, Dropped, Trade]


def test_record_larger_than_the_limit_fits_when_the_queue_is_empty() -> None:
    queue = queue_of(10)
    queue.put([book(400)], "slow")
    assert (len(queue), queue.dropped) == (1, 0)


@pytest.mark.parametrize(
    ("record", "units"),
    [
        (trade(1), 1),
        (book(0), 1),
        (book(400), 134),
        (Raw("okx", None, None, 1, "public", "in", "x" * 900), 3),
    ],
)
def test_weight_of_a_record_follows_its_memory(record: Record, units: int) -> None:
    assert weight(record) == units


def test_losses_are_reported_before_newer_data() -> None:
    queue = queue_of(2)
    queue.put(trades(1, 2, 3), "disk full")
    queue.put([trade(4), trade(5, "ETH-USDT")], "disk full")
    queue.mark_written(2)
    queue.acknowledge()
    queue.put(trades(6), "disk full")
    first, second = queue.next_batch(9)
    fields = {"reason": "SinkFailed", "detail": "disk full", "data_type": "trade", "sink": "out"}
    assert first == Dropped("okx", "BTC-USDT", None, 6, stream="BTC-USDT/trade", count=2, **fields)
    assert second == Dropped("okx", "ETH-USDT", None, 6, stream="ETH-USDT/trade", count=1, **fields)
    assert queue.dropped == 4
    assert queue.is_losing  # 6 came when the two notes had filled the queue


def test_losses_are_reported_without_newer_data() -> None:
    queue = queue_of(1)
    queue.put(trades(1, 2), "slow")
    queue.report_losses(7)
    assert queue.waiting == 1  # still full
    queue.mark_written(1)
    queue.acknowledge()
    queue.report_losses(7)
    assert [type(record) for record in queue.next_batch(9)] == [Dropped]


def test_the_queues_own_notes_are_not_counted_as_records() -> None:
    queue = queue_of(1)
    queue.put(trades(1, 2), "slow")
    queue.mark_written(1)
    queue.acknowledge()
    queue.report_losses(7)
    assert (len(queue), queue.waiting) == (0, 1)
    queue.mark_written(1)
    queue.acknowledge()
    assert (queue.acknowledged, queue.dropped, queue.waiting) == (1, 1, 0)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6), st.booleans()), max_size=30), st.integers(1, 8))
def test_every_record_is_acknowledged_or_dropped(steps: list[tuple[int, int, bool]], limit: int) -> None:
    queue, emitted = queue_of(limit), 0
    for arriving, taking, is_safe in steps:
        queue.put(trades(*range(arriving)), "slow")
        emitted += arriving
        queue.mark_written(len(queue.next_batch(taking)))
        (queue.acknowledge if is_safe else queue.rewind)()
        assert emitted == queue.acknowledged + queue.dropped + len(queue)


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (trade(1), "BTC-USDT/trade"),
        (Orderbook("okx", "A-B", None, 1, "snapshot", [], [], 1, None), "A-B/orderbook"),
        (Ticker("okx", "A-B", None, 1, *[None] * 11), "A-B/ticker"),
        (Candle("okx", "A-B", None, 1, "1m", 1, "1", "1", "1", "1", "1", None, None, True), "A-B/candle:1m"),
        (Raw("okx", None, None, 1, "public", "in", "{}"), "public/raw"),
        (Connected("okx", "A-B", None, 1, "A-B/trade", ""), "A-B/trade"),
        (Connected("okx", None, None, 1, None, ""), "events"),
        (instrument(), "events"),
        (quote(1), "BTC-USDT/quote"),
        (funding(1), "BTC-USDT/funding"),
        (mark_price(1), "BTC-USDT/markprice"),
        (open_interest(1), "BTC-USDT/openinterest"),
        (liquidation(1), "BTC-USDT/liquidation"),
    ],
)
def test_a_record_is_counted_with_its_stream(record: Record, name: str) -> None:
    assert stream_name(record) == name


def test_full_queue_drops_records_until_it_is_half_empty() -> None:
    queue = queue_of(4)
    queue.put(trades(1, 2, 3, 4, 5), "slow")
    queue.mark_written(1)
    queue.acknowledge()
    queue.put(trades(6), "slow")
    assert (len(queue), queue.dropped) == (3, 2)
    queue.mark_written(1)
    queue.acknowledge()
    queue.put(trades(7), "slow")
    assert [type(record) for record in queue.next_batch(9)] == [Trade, Trade, Dropped, Trade]


def test_losses_say_which_trades_were_dropped() -> None:
    queue = queue_of(2)
    queue.put([*trades(1, 2, 3, 4), trade(9, "ETH-USDT"), *trades(7)], "slow")
    assert queue.losses() == [
        Loss("out", "BTC-USDT/trade", 3, ((3, 4), (7, 7))),
        Loss("out", "ETH-USDT/trade", 1, ((9, 9),)),
    ]
    losses = queue.losses()
    queue.mark_written(2)
    queue.acknowledge()
    queue.report_losses(5)
    assert (queue.take_reported(), queue.take_reported(), queue.losses()) == (losses, [], [])


def test_events_are_taken_although_the_queue_is_full() -> None:
    queue = queue_of(2)
    hello = Connected("okx", None, None, 1, None, "public")
    queue.put([*trades(1, 2, 3), hello], "slow")
    assert queue.next_batch(9) == [*trades(1, 2), hello]
    queue.put([hello] * (EVENT_ROOM + 9), "slow")
    assert len(queue) <= EVENT_ROOM + 2


def test_a_mark_is_reached_when_all_before_it_is_acknowledged() -> None:
    queue = queue_of(9)
    queue.mark(1)
    assert queue.reached == 1
    queue.put(trades(1, 2), "slow")
    queue.mark(2)
    queue.put(trades(3), "slow")
    queue.mark(3)
    queue.mark_written(1)
    queue.acknowledge()
    assert queue.reached == 1
    queue.mark_written(1)
    queue.acknowledge()
    assert queue.reached == 2
    queue.mark_written(1)
    queue.acknowledge()
    assert queue.reached == 3


def test_trade_without_dense_ids_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, NAME, ImaginaryExchange(has_dense_trade_ids=False))
    queue = queue_of(1)
    for name in ("7d4e-uuid", "903", "904"):
        queue.put([Trade(NAME, "A-B", 1, 1, name, name, 1, "buy", "1", "1")])
    (loss,) = queue.losses()
    assert (loss.count, loss.ids) == (2, ())


@pytest.mark.parametrize(("is_closed", "number"), [(True, 7), (False, None)])
def test_only_a_closed_candle_has_a_number(is_closed: bool, number: int | None) -> None:
    opened_ns = 7 * 60_000_000_000
    bar = Candle("okx", "A-B", None, 1, "1m", opened_ns, "1", "2", "3", "4", "5", None, None, is_closed)
    assert dense_number(bar) == number
