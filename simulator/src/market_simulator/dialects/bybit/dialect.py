"""Bybit v5 as a dialect: its facts, and the frontend of a running exchange."""

from collections.abc import Container, Mapping
from typing import Any

from market_simulator.dialects.bybit import account, frames, rest
from market_simulator.dialects.bybit.instruments import made_instrument
from market_simulator.dialects.bybit.private import PrivateSession
from market_simulator.dialects.bybit.public import PublicSession
from market_simulator.dialects.bybit.publications import Publisher
from market_simulator.dialects.bybit.recording import read_frame
from market_simulator.dialects.bybit.symbols import LINEAR, SPOT, category, native
from market_simulator.dialects.bybit.upkeep import SILENCES, Upkeep, own_limit
from market_simulator.dialects.bybit.words import WORDS
from market_simulator.engine.account import Account
from market_simulator.engine.book import Book
from market_simulator.engine.dialect import Close, Reply, RestRequest, ServerOptions, Session
from market_simulator.engine.events import Event, Key, TradeRow
from market_simulator.engine.publications import Publications
from market_simulator.engine.truth import Fill, Truth
from market_simulator.engine.venue import Venue

_PUBLIC, _PRIVATE = "/v5/public/", "/v5/private"
_DATA_TYPES: dict[str, frozenset[str]] = {
    "trade": frozenset({frames.TRADES}),
    "orderbook": frozenset(channel for channel, depth in frames.BOOKS.items() if depth > 1),
    "ticker": frozenset({frames.TICKERS, "orderbook.1"}),
    "candle": frozenset(frames.KLINES),
    "balance": frozenset({account.KEY.channel}),
    "funding": frozenset({frames.TICKERS}),
    "markprice": frozenset({frames.TICKERS}),
    "openinterest": frozenset({frames.TICKERS}),
    "liquidation": frozenset({frames.LIQUIDATIONS}),
}


class Bybit:
    """The facts."""

    title = "Bybit v5"
    paths: Mapping[str, str] = {SPOT: _PUBLIC + SPOT, LINEAR: _PUBLIC + LINEAR, "private": _PRIVATE}
    routes = tuple(paths.values())
    rest_prefix = rest.API
    endpoints: Mapping[str, str] = {path.removeprefix(rest.API): path for path in rest.ENDPOINTS}
    channels: Mapping[str, frozenset[str]] = {
        channel: frozenset({channel}) for channels in _DATA_TYPES.values() for channel in channels
    } | _DATA_TYPES
    error_messages = rest.ERROR_MESSAGES
    ban_status = 403
    exclusion = rest.EXCLUSION
    connection_window = 300.0
    words = WORDS
    make_instrument = staticmethod(made_instrument)
    fixed_kinds = frozenset({"SWAP"})
    market_name = staticmethod(str)
    read_frame = staticmethod(read_frame)
    too_slow = Close(1008, "")
    fill_row = staticmethod(rest.fill_row)
    holding_row = staticmethod(account.row)

    def open(self, venue: Venue, truth: Truth, account: Account, options: ServerOptions) -> "Frontend":
        return Frontend(venue, truth, account, options)

    def path(self, path: str) -> str:
        return path

    def checksum(self, book: Book) -> int:
        """Books have no checksum."""
        return 0

    def trade_row(self, symbol: str, row: TradeRow) -> str:
        """The fills as REST returns them, as a list."""
        fills = [Fill(row.first_id + place, size, row) for place, size in enumerate(row.sizes)]
        return f"[{','.join(rest.fill_row(symbol, fill) for fill in fills)}]"


class Frontend:
    """One running exchange."""

    def __init__(self, venue: Venue, truth: Truth, account: Account, options: ServerOptions) -> None:
        self._venue, self._truth, self._account, self._options = venue, truth, account, options
        self._publications = Publications(venue, Publisher)
        self._rates = rest.Rates(options.has_rate_limits)
        self._symbols = {(category(symbol), native(symbol)): symbol for symbol in venue.boards}

    def session(self, name: str, target: str) -> Session:
        """A public connection of one category, or the private one."""
        path, _, query = target.partition("?")
        limit = SILENCES * self._options.silence_limit
        if path == _PRIVATE:
            return PrivateSession(name, path, Upkeep(own_limit(query, limit)), lambda: self._venue.now_ms)
        wanted = path.removeprefix(_PUBLIC)
        symbols = {native_name: symbol for (kind, native_name), symbol in self._symbols.items() if kind == wanted}
        channels = frames.CHANNELS | {key.channel for key in self._venue.books}
        channels |= {frames.LIQUIDATIONS} if wanted == LINEAR else set()
        return PublicSession(name, path, wanted, symbols, channels, Upkeep(limit))

    def publish(self, event: Event, wanted: Container[Key]) -> list[tuple[Key, str]]:
        return self._publications.publish(event, wanted)

    def first(self, key: Key) -> list[str]:
        """The state of a topic. The wallet and new trades have none."""
        text = None if key == account.KEY else self._publications.of[key.instrument].present(key)
        return [] if text is None else [text]

    def holding_changed(self, currency: str) -> list[tuple[Key, str]]:
        return [(account.KEY, account.change(currency, self._account.holdings[currency]))]

    def login_refusal(self, login: Mapping[str, Any], now_ms: int) -> tuple[str, str] | None:
        return account.refusal(self._account.key, login, now_ms)

    def symbol(self, path: str, query: Mapping[str, str]) -> str:
        return self._symbols.get((query.get("category", ""), query.get("symbol", "")), "")

    def rest(self, request: RestRequest) -> Reply:
        call = rest.Call(request, self._venue, self._publications, self._truth, self._account, self._symbols)
        return rest.answer(call, self._rates)
