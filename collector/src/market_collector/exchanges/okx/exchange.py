"""OKX v5: constant facts about the exchange.

The sources are OKX's v5 documentation of 2026-07-28 and recordings of 2022-05-13 and 2026-09-26. The facts are
collected in docs/exchanges/okx.md. "[rec]" marks a fact that a recording confirms.

Each wire type shows an example of its push. rows.py holds the rows that pushes and REST answers share. rest.py holds
the REST requests.
"""

from collections.abc import Mapping, Sequence

from market_collector.book.book import Book
from market_collector.book.checksum import interleaved_crc32
from market_collector.book.rule import LINKED_BY_SEQUENCE
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
from market_collector.exchanges.okx.channels import BUSINESS, PRIVATE, PUBLIC, OkxCodec, route_of
from market_collector.exchanges.okx.names import OKX
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.exchanges.okx.rows import BARS, BOOK_DEPTH, NAME
from market_collector.model.streams import DataType, Stream
from market_spec.names import parsed

CLOSINGS = {
    4005: Closing.SLOW_READER,  # "output buffer full"
    4001: Closing.KEY_REFUSED,  # login failed
    4007: Closing.KEY_REFUSED,  # API key changed or deleted
}


class Okx:
    """Facts about OKX. Regional and demo hosts differ: ``spec.connection.endpoint`` replaces the addresses."""

    name = NAME
    offers = frozenset(DataType)
    book_depths: tuple[int, ...] = (BOOK_DEPTH,)
    books = LINKED_BY_SEQUENCE
    book_snapshots: BookSnapshots | None = None
    polls: Polls | None = None
    candle_intervals: tuple[str, ...] = tuple(BARS)
    skips_empty_candles = False
    hosts: Mapping[str, str] = {WEBSOCKET: "wss://ws.okx.com:8443", REST: "https://openapi.okx.com"}
    routes: Mapping[str, Route] = {
        **{route_of(path, kind): Route() for path in (PUBLIC, BUSINESS) for kind in OKX.kinds},
        PRIVATE: Route(access=Access.LOGIN, login_frame='{"op":"login"}'),
    }
    heartbeat = Heartbeat(ping="ping", max_interval_s=25.0)  # closed after 30 s of silence, code 4004
    limits = Limits(dial=Window(3, 1.0))
    has_dense_trade_ids = True
    recent_trades: RecentTrades | None = None
    rest_api: RestApi = OkxRestApi()

    def route(self, stream: Stream) -> str:
        """Single fills and candles use the business path, other public data the public one.

        OKX refuses a request on the wrong path with error 64001.
        """
        if stream.data_type is DataType.BALANCE:
            return PRIVATE
        path = BUSINESS if stream.data_type in (DataType.TRADE, DataType.CANDLE) else PUBLIC
        return route_of(path, parsed(stream.symbol).kind)

    def signer(self) -> Signer:
        """Sign logins (section 4)."""
        from market_collector.exchanges.okx.account import OkxSigner  # here and below: loaded only to collect balances

        return OkxSigner()

    def codec(self, route: str, streams: Sequence[Stream], book_depth: int | None = None) -> Codec:
        """Return the codec for a new connection. The channel of books has one depth."""
        if route == PRIVATE:
            from market_collector.exchanges.okx import account

            return account.OkxAccount(streams)
        return OkxCodec(route, streams)

    def closing(self, code: int, reason: str) -> Closing:
        """OKX has a code for each meaning (section 3)."""
        return CLOSINGS.get(code, Closing.OTHER)

    def is_intact(self, book: Book, checksum: int) -> bool:
        """Check the checksum that OKX sent before 2026-06-23; all 197 book messages of 2022 match it [rec]."""
        return interleaved_crc32(book) == checksum
