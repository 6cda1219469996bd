"""The status document and readiness, made from the state of the components."""

import random

import msgspec
import pytest

from market_collector.config.settings import Settings
from market_collector.exchanges import EXCHANGES
from market_collector.feed.gaps import GapBounds
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Orderbook, Ticker, Trade
from market_collector.model.moment import Moment
from market_collector.model.reasons import GapReason
from market_collector.model.report import SinkStatus
from market_collector.model.streams import DataType, Stream, StreamState
from market_collector.net.link_state import LastReconnect
from market_collector.net.supervisor import Supervisor
from market_collector.telemetry import report
from market_collector.telemetry.status import Health, encode

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Ticker("okx", "BTC-USDT", 1, 1, *[None] * 11)
GOOD = SinkStatus(name="out", type="stdout")
BAD = SinkStatus(name="out", type="file", healthy=False, error="disk full")


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


def ledger(**states: StreamState) -> Ledger:
    """A ledger with one stream a symbol, each in the state that is given."""
    one = Ledger("okx", [Stream(symbol, DataType.TICKER) for symbol in states], 10.0, at(0))
    for stream, page in one.streams.items():
        page.set_state(states[stream.symbol], "SymbolNotFound" if states[stream.symbol] == "refused" else "", at(1))
    return one


def test_status_of_trades_without_dense_ids_has_the_proved_time() -> None:
    one = Ledger("okx", [TRADES], 10.0, at(0), has_dense_trade_ids=False)
    (progress,) = one.trades.streams.values()
    one.trades.take(progress, [Trade("okx", "BTC-USDT", 10**9, 1, "7d4e", "7d4e", 1, "buy", "1", "1")], at(1))
    one.trades.interrupt(progress, 1, GapReason.DISCONNECTED, at(2))
    one.trades.take(progress, [Trade("okx", "BTC-USDT", 3 * 10**9, 1, "903", "903", 1, "buy", "1", "1")], at(3))
    (status,) = map(msgspec.to_builtins, report.stream_statuses(one, {}))
    assert (status["delivered"], status["tradeIds"], status["provedUntil"]) == (
        "7d4e",
        "unnumbered",
        "1970-01-01T00:00:01.000Z",
    )


LIVE, QUIET, STALE, REFUSED, PENDING = (StreamState(word) for word in ("live", "quiet", "stale", "refused", "pending"))
UNKNOWN = StreamState.UNKNOWN


@pytest.mark.parametrize(
    ("states", "sink", "is_ready", "words"),
    [
        ({"A": LIVE, "B": QUIET}, GOOD, True, "2 streams"),
        ({"A": LIVE, "B": PENDING}, GOOD, False, "B/ticker (pending)"),
        ({"A": LIVE, "B": STALE}, GOOD, False, "not streaming: B/ticker"),
        ({"A": LIVE, "B": UNKNOWN}, GOOD, False, "not streaming: B/ticker"),
        ({"A": LIVE, "B": REFUSED}, GOOD, True, "1 streams"),
        ({"A": REFUSED}, GOOD, False, "refuses every stream: A/ticker (SymbolNotFound)"),
        ({"A": LIVE}, BAD, False, "not writing: out (disk full)"),
    ],
)
def test_readiness(states: dict[str, StreamState], sink: SinkStatus, is_ready: bool, words: str) -> None:
    verdict, reason = report.readiness(ledger(**states), [sink])
    assert verdict is is_ready
    assert words in reason


@pytest.mark.parametrize(
    ("states", "sink", "word", "reason"),
    [
        ({"A": LIVE, "B": QUIET}, GOOD, Health.HEALTHY, ""),
        ({"A": LIVE, "B": STALE}, GOOD, Health.DEGRADED, "without data: B/ticker (stale)"),
        ({"A": STALE, "B": REFUSED}, GOOD, Health.UNHEALTHY, "no stream has data: A/ticker (stale), B/ticker"),
        ({"A": UNKNOWN, "B": STALE}, GOOD, Health.DEGRADED, "without data: A/ticker (unknown), B/ticker (stale)"),
        ({"A": LIVE}, BAD, Health.DEGRADED, "sinks that cannot write: out"),
    ],
)
def test_health(states: dict[str, StreamState], sink: SinkStatus, word: Health, reason: str) -> None:
    found, why = report.health(ledger(**states), [], [sink])
    assert found is word
    assert why.startswith(reason)


def test_an_open_gap_degrades() -> None:
    one = ledger(A=LIVE)
    page = next(iter(one.streams.values()))
    one.gaps.open(page.stream, GapBounds(after=5), GapReason.SEQUENCE_GAP, at(2))
    assert report.health(one, [], [GOOD]) == (Health.DEGRADED, "1 open gaps")


def test_health_is_degraded_without_a_usable_checkpoint() -> None:
    assert report.health(ledger(A=LIVE), [], [GOOD], "no room") == (Health.DEGRADED, "no room")


def test_long_lists_of_streams_are_cut() -> None:
    states = {f"S{number}": STALE for number in range(30)}
    assert report.readiness(ledger(**states), [GOOD])[1].endswith("and 25 more")


def document() -> tuple[Ledger, Supervisor, report.Identity]:
    one = Ledger("okx", [TRADES, BOOK], 10.0, at(0))
    settings = Settings("okx-btc", "ns", 1, "okx", ("BTC-USDT",), (DataType.TRADE, DataType.ORDERBOOK))
    supervisor = Supervisor(
        settings, EXCHANGES["okx"], one, emit=lambda records: None, clock=lambda: at(5), chance=random.Random(1)
    )
    return one, supervisor, report.Identity("okx-btc", "ns", 1, "0.1.0", "pod-1/start", 1_000_000_000)


def test_words_of_an_exchange_that_excludes_the_region_are_in_the_status() -> None:
    one, supervisor, identity = document()
    for link in supervisor.links:
        link.machine.problem, link.machine.reason = "RegionRestricted", f"RegionRestricted: HTTP 451 ({link.name})"
    status = report.status(identity, one, supervisor, report.Output([GOOD], 0), at(5))
    assert [connection.problem for connection in status.connections] == ["RegionRestricted"] * 2
    assert status.health is Health.UNHEALTHY
    words = "business connection, like 1 more: RegionRestricted: HTTP 451 (business); no stream has data: "
    assert status.reason.startswith(words)


def test_status_document_has_the_complete_state() -> None:
    one, supervisor, identity = document()
    trades, book = one.ids.streams[TRADES], one.books.streams[BOOK]
    for number in (1, 4):
        trade = Trade("okx", "BTC-USDT", number, 1, str(number), str(number), 1, "buy", "1", "1")
        one.ids.take_trades(trades, [trade], at(2))
        trades.observe(trade, at(2))
    one.check_overdue(at(4))
    one.unreadable("not JSON", b"garbage", at(3))
    book.observe(Orderbook("okx", "BTC-USDT", 1, 1, "snapshot", [], [], 7, None), at(4))
    link = supervisor.links[0]
    link.machine.reconnections, link.machine.last_reconnect = 3, LastReconnect(4_000_000_000, "reset")
    status = report.status(identity, one, supervisor, report.Output([GOOD], 12), at(5))
    assert (status.name, status.namespace, status.shard, status.epoch) == ("okx-btc", "ns", 1, "pod-1/start")
    assert (status.started_at, status.time) == ("1970-01-01T00:00:01.000Z", "1970-01-01T00:00:05.000Z")
    counters = status.counters
    assert (counters.records, counters.reconnections, counters.gaps_detected, counters.missing_trades) == (12, 3, 1, 2)
    assert counters.unreadable_frames == 1
    assert status.last_unreadable is not None
    assert (status.last_unreadable.reason, status.last_unreadable.frame) == ("not JSON", "garbage")
    assert status.last_reconnect is not None
    assert status.last_reconnect.reason == "reset"
    assert status.last_message_time == "1970-01-01T00:00:04.000Z"
    assert [(s.stream, s.state) for s in status.streams] == [("BTC-USDT/trade", LIVE), ("BTC-USDT/orderbook", LIVE)]
    assert [(c.name, c.state) for c in status.connections] == [("business", "connecting"), ("public", "connecting")]
    (gap,) = status.gaps
    assert (gap.stream, gap.state, gap.first, gap.last, gap.missing) == ("BTC-USDT/trade", "open", "2", "3", 2)


def test_nothing_received_is_null_and_not_1970() -> None:
    one, supervisor, identity = document()
    status = report.status(identity, one, supervisor, report.Output([], 0), at(5))
    assert status.last_message_time is None
    assert [stream.last_message_time for stream in status.streams] == [None, None]
    assert status.last_reconnect is None


def test_the_gap_list_is_bounded_and_open_ones_stay() -> None:
    one, supervisor, identity = document()
    page = one.ids.streams[TRADES]
    for number in range(300):
        trade = Trade("okx", "BTC-USDT", number, 1, str(number * 10), str(number * 10), 1, "buy", "1", "1")
        one.ids.take_trades(page, [trade], at(number * 5))
        one.check_overdue(at(number * 5 + 4))
    status = report.status(identity, one, supervisor, report.Output([], 0), at(5))
    assert len(status.gaps) == report.GAPS_SHOWN
    assert status.counters.gaps_detected == 299
    assert status.gaps[-1].last == "2989"
    assert len(encode(status)) < 100_000
