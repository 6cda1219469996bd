"""Binance, spot and USD-M perpetuals: constant facts about the exchange.

The sources are Binance's spot API documentation of 2026-07-21 and recordings of 2021 and 2026. The facts are collected
in docs/exchanges/binance.md. "[rec]" marks a fact that a recording confirms.

Each wire type shows an example. Events of connections are in pushes.py, futures.py and derivatives.py. Rows of
history are in rows.py, REST requests in rest.py and polls.py, their hosts and weights in markets.py. The account is in
balances.py and account.py.
"""

from collections.abc import Mapping, Sequence

from market_collector.book.book import Book
from market_collector.book.rule import BookRule, BookWindow, Proof
from market_collector.exchanges.binance.channels import BinanceCodec
from market_collector.exchanges.binance.markets import PERPETUAL_REST
from market_collector.exchanges.binance.polls import BinancePolls
from market_collector.exchanges.binance.rest import DEPTHS, BinanceRestApi, BinanceSnapshots
from market_collector.exchanges.binance.rows import INTERVALS, NAME, is_perpetual
from market_collector.exchanges.interface import (
    REST,
    WEBSOCKET,
    Access,
    BookSnapshots,
    Closing,
    Codec,
    Heartbeat,
    HeartbeatKind,
    Limits,
    Polls,
    RecentTrades,
    RestApi,
    Route,
    Signer,
    Window,
)
from market_collector.model.streams import DataType, Stream
from market_spec.names import PERPETUAL

MARKET, ACCOUNT = "market", "account"
"""Names of the routes; the second one is a host too."""
PERPETUAL_PATHS = {"perpetual-public": "/public/stream", "perpetual-market": "/market/stream"}
"""Paths of perpetuals by route. A stream on the other path is silent (section 14)."""
PERPETUAL_POLLS = "perpetual-polls"
PERPETUAL_ROUTE = Route(
    host=PERPETUAL,
    streams_per_connection=180,  # the exchange accepts 1,024, or 200 by another page
    dead_after_s=240.0,  # a ping frame comes every 180 s
    sends_settled_rates=False,
)
POLICY_VIOLATION = 1008


class Binance:
    """Facts about Binance. The testnet differs: ``spec.connection.endpoint`` replaces the addresses."""

    name = NAME
    offers = frozenset(DataType)
    book_depths: tuple[int, ...] = DEPTHS
    books = BookRule(proof=Proof.RANGE, window=BookWindow.KNOWN_RANGE)
    book_snapshots: BookSnapshots | None = BinanceSnapshots()
    polls: Polls | None = BinancePolls()
    candle_intervals: tuple[str, ...] = INTERVALS
    skips_empty_candles = False
    hosts: Mapping[str, str] = {
        WEBSOCKET: "wss://stream.binance.com:9443",
        REST: "https://api.binance.com",
        ACCOUNT: "wss://ws-api.binance.com:9443",
        PERPETUAL: "wss://fstream.binance.com",
        PERPETUAL_REST: "https://fapi.binance.com",
    }
    routes: Mapping[str, Route] = {
        MARKET: Route(streams_per_connection=800),  # the exchange accepts 1,024
        ACCOUNT: Route(host=ACCOUNT, access=Access.SIGNED, sends_whole_accounts=False),
        **dict.fromkeys(PERPETUAL_PATHS, PERPETUAL_ROUTE),
        PERPETUAL_POLLS: Route(host=PERPETUAL, polled_every_s=30.0),  # 2 of 1,080 a minute for each
    }
    heartbeat = Heartbeat(HeartbeatKind.CONTROL_FRAMES, dead_after_s=60.0)  # a ping frame comes every 20 s
    limits = Limits(
        dial=Window(250, 300.0, burst=10),  # the exchange accepts 300
        frames_per_s=1.0,  # it accepts 5, and pongs count; clients report that it closes at 2 to 4
        one_request_at_a_time=True,
        life_s=86_400.0,
    )
    has_dense_trade_ids = True
    recent_trades: RecentTrades | None = None
    rest_api: RestApi = BinanceRestApi()

    def route(self, stream: Stream) -> str:
        """All market data of spot shares connections. Books of perpetuals, their other data and the account do not.

        Open interest is requested over REST.
        """
        if stream.data_type is DataType.BALANCE:
            return ACCOUNT
        if not is_perpetual(stream.symbol):
            return MARKET
        if stream.data_type is DataType.OPENINTEREST:
            return PERPETUAL_POLLS
        return "perpetual-public" if stream.data_type is DataType.ORDERBOOK else "perpetual-market"

    def signer(self) -> Signer:
        """Sign the subscription of the account, and the request for it (section 9)."""
        from market_collector.exchanges.binance.account import BinanceSigner  # here and below: only for balances

        return BinanceSigner()

    def codec(self, route: str, streams: Sequence[Stream], book_depth: int | None = None) -> Codec:
        """Return the codec for a new connection. The depth of books is that of their snapshots."""
        if route == ACCOUNT:
            from market_collector.exchanges.binance.account import BinanceAccount

            return BinanceAccount(streams)
        return BinanceCodec(streams, PERPETUAL_PATHS.get(route, "/stream"))

    def closing(self, code: int, reason: str) -> Closing:
        """1008 ends a connection that sends too much, and one that does not answer pings (section 3)."""
        if code == POLICY_VIOLATION and "too many" in reason.lower():
            return Closing.TOO_MANY
        return Closing.OTHER

    def is_intact(self, book: Book, checksum: int) -> bool:
        """Books have no checksum."""
        return True
