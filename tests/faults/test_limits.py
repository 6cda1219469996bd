"""Many streams in one process that reconnect at once: no limit of the exchange is exceeded.

The simulator has the exchange's limits: it refuses what is above them, and counts it. OKX's connections have to be a
third of a second apart, so other tests must not hold up this process. Other exchanges count for minutes, and their
tests wait most of the time. Each has 2,400 streams, so they run one after the other.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from collector_settings import settings_of
from collector_thread import CollectorThread, ListSink, collector_thread
from exchange_words import MARKETS, OKX, ExchangeWords
from market_collector.app import Collector
from market_collector.config.settings import Settings
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.binance import markets
from market_collector.exchanges.binance.exchange import Binance
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.model.streams import DataType, StreamState
from market_collector.net import http_client
from market_collector.net.deadlines import DEADLINES
from simulator_process import Simulator, simulator

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(300), pytest.mark.xdist_group("limits")]

COLLECTORS = 3
SYMBOLS = 200
DATA_TYPES = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLE)
CONNECTION_LIMITS = {"okx": 3, "binance": 300, "bybit": 500}
"""In a second, in 5 minutes, in 5 minutes."""
OTHERS = [name for name in MARKETS if name != OKX.name]
HEARTBEATS = {exchange: exchange.heartbeat for exchange in (Binance, Bybit)}
OBSERVED_S = 5.0
"""Time for requests about gaps and books, which come when the streams are back."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector's own pace and patience, unlike in the other tests of faults."""
    monkeypatch.setattr(Binance.rest_api, "budgets", markets.BUDGETS)
    monkeypatch.setattr(http_client, "TIMEOUT_S", 5.0)
    for each, heartbeat in HEARTBEATS.items():
        monkeypatch.setattr(each, "heartbeat", heartbeat)


@pytest.fixture(params=[pytest.param(OKX.name, marks=pytest.mark.alone), *OTHERS])
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """One simulated exchange with its own limits, where each stream has a message within a few seconds."""
    words = MARKETS[request.param]
    options = ("--market", "1", "--rate", "2", "--start", "now", "--log-level", "error")
    market = (*options, "--symbols", ",".join(symbols_of(words)))
    limit = ("--connection-limit", str(CONNECTION_LIMITS[words.name]))
    with simulator(*market, *limit, exchange=request.param, is_impatient=False) as running:
        running.get("/state")  # answered when it has opened all books
        yield running


def symbols_of(words: ExchangeWords) -> tuple[str, ...]:
    return tuple(words.symbol.replace("BTC", f"C{number:03}") for number in range(SYMBOLS))


def settings_for(exchange: Simulator) -> Settings:
    """With a short backoff, so that all connections come back at once."""
    return settings_of(
        exchange.websocket,
        *DATA_TYPES,
        rest=exchange.rest,
        exchange=exchange.words.name,
        symbols=symbols_of(exchange.words),
        candle_intervals=("1m",),
        backoff_initial_s=0.05,
        backoff_max_s=0.5,
        sinks=(),
    )


def is_streaming(collector: Collector, since: float) -> bool:
    """Whether each stream has brought data since a time (monotonic seconds).

    Books that wait for a snapshot of the REST API are left out: its weight allows one a second.
    """
    books_wait = EXCHANGES[collector.settings.exchange].book_snapshots is not None
    pages = [
        page
        for stream, page in collector.ledger.streams.items()
        if not (books_wait and stream.data_type is DataType.ORDERBOOK)
    ]
    return all(page.state is StreamState.LIVE and page.last_at > since for page in pages)


def all_stream(collectors: list[CollectorThread], since: float) -> None:
    for collector in collectors:
        end = time.monotonic() + 120
        while not collector.ask(lambda one: is_streaming(one, since)):
            assert time.monotonic() < end, collector.status()["connections"]
            time.sleep(0.2)


def excess(exchange: Simulator) -> dict[str, int]:
    """All refusals of the exchange, by limit, or by REST path and status."""
    counters = exchange.get("/state")["counters"]
    refused: dict[str, int] = dict(counters["exceeded"])
    for path, by_status in counters["calls"].items():
        refused |= {f"{path} {status}": count for status, count in by_status.items() if status != "200"}
    return refused


def test_mass_reconnect_exceeds_no_limit(exchange: Simulator) -> None:
    with ExitStack() as stack:
        settings = settings_for(exchange)
        collectors = [
            stack.enter_context(collector_thread(settings, ListSink(), deadlines=DEADLINES)) for _ in range(COLLECTORS)
        ]
        all_stream(collectors, 0.0)
        # A starved collector may need more attempts than connections.
        needed = sum(collector.ask(lambda one: len(one.supervisor.links)) for collector in collectors)
        before = exchange.get("/state")["counters"]["connections"]
        assert exchange.post("/faults/drop")["dropped"] >= COLLECTORS
        all_stream(collectors, time.monotonic())
        time.sleep(OBSERVED_S)
        assert exchange.get("/state")["counters"]["connections"] >= before + needed
        assert excess(exchange) == {}
