"""Bybit v5, spot and linear perpetuals: constant facts about the exchange.

The sources are Bybit's v5 documentation of 2026-07-24 and recordings of 2023 to 2026. The facts are collected in
docs/exchanges/bybit.md. "[rec]" marks a fact that a recording confirms.

Each wire type shows an example. pushes.py and tickers.py hold the messages of connections. rest.py, recent.py and
instruments.py hold REST, balances.py and account.py the account.
"""

from collections.abc import Mapping, Sequence

from market_collector.book.book import Book
from market_collector.book.rule import BookRule, Proof
from market_collector.exchanges.bybit.balances import BybitPolls
from market_collector.exchanges.bybit.channels import BybitCodec
from market_collector.exchanges.bybit.names import INTERVALS, LINEAR, NAME, SPOT, category
from market_collector.exchanges.bybit.recent import BybitRecent
from market_collector.exchanges.bybit.rest import BybitRestApi
from market_collector.exchanges.interface import (
    REST,
    WEBSOCKET,
    Access,
    BookSnapshots,
    Closing,
    Codec,
    Heartbeat,
    Limits,
    Polls,
    RecentTrades,
    RestApi,
    Route,
    Signer,
    Window,
)
from market_collector.model.streams import DataType, Stream

PRIVATE = "private"
DEPTHS = (200, 50, 1000)
"""Levels on each side of the book topics that send changes."""
STREAMS_PER_CONNECTION = 350
"""The exchange accepts topics of 21,000 characters in all. A spot ticker has two, with 60 characters at most."""


class Bybit:
    """Facts about Bybit. Regional sites and the testnet differ: ``spec.connection.endpoint`` replaces the addresses."""

    name = NAME
    offers = frozenset(DataType)
    book_depths: tuple[int, ...] = DEPTHS
    books = BookRule(proof=Proof.COUNTER)
    book_snapshots: BookSnapshots | None = None
    polls: Polls | None = BybitPolls()
    candle_intervals: tuple[str, ...] = tuple(INTERVALS)
    skips_empty_candles = False
    hosts: Mapping[str, str] = {WEBSOCKET: "wss://stream.bybit.com", REST: "https://api.bybit.com"}
    routes: Mapping[str, Route] = {
        SPOT: Route(streams_per_connection=STREAMS_PER_CONNECTION),
        LINEAR: Route(streams_per_connection=STREAMS_PER_CONNECTION),
        PRIVATE: Route(access=Access.LOGIN, login_frame='{"op":"auth"}', sends_whole_accounts=False),
    }
    heartbeat = Heartbeat(
        ping='{"req_id":"ping-{id}","op":"ping"}', max_interval_s=20.0, always=True, dead_after_s=10.0
    )
    limits = Limits(
        dial=Window(250, 300.0, burst=10),  # the exchange accepts 500
        frames_per_s=20.0,  # no limit is documented
    )
    has_dense_trade_ids = False
    recent_trades: RecentTrades | None = BybitRecent()
    rest_api: RestApi = BybitRestApi()

    def route(self, stream: Stream) -> str:
        """Each category has connections of its own, and so has the account."""
        return PRIVATE if stream.data_type is DataType.BALANCE else category(stream.symbol)

    def signer(self) -> Signer:
        """Sign logins, and the request for the account (section 9)."""
        from market_collector.exchanges.bybit.account import BybitSigner  # here and below: loaded only for balances

        return BybitSigner()

    def codec(self, route: str, streams: Sequence[Stream], book_depth: int | None = None) -> Codec:
        """Return the codec for a new connection. Each depth of books is a topic."""
        if route == PRIVATE:
            from market_collector.exchanges.bybit.account import BybitAccount

            return BybitAccount(streams)
        return BybitCodec(route, streams, book_depth or DEPTHS[0])

    def closing(self, code: int, reason: str) -> Closing:
        """No meaning of a code is documented."""
        return Closing.OTHER

    def is_intact(self, book: Book, checksum: int) -> bool:
        """Books have no checksum."""
        return True
