"""OKX v5 as a dialect: its facts, and the frontend of a running exchange."""

from collections.abc import Container, Mapping
from typing import Any

from market_simulator.dialects.okx import account, protocol, rest
from market_simulator.dialects.okx.instruments import made_instrument, market_name
from market_simulator.dialects.okx.protocol import Path
from market_simulator.dialects.okx.publications import Publications
from market_simulator.dialects.okx.recording import read_frame
from market_simulator.dialects.okx.session import Session
from market_simulator.dialects.okx.words import WORDS
from market_simulator.engine.account import Account
from market_simulator.engine.dialect import Close, Reply, RestRequest, ServerOptions
from market_simulator.engine.events import Event, Key, Tick, TradeRow, Trades
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue

_API = "/api/v5/"
_DATA_TYPES = {
    "trade": frozenset({"trades", "trades-all"}),
    "orderbook": frozenset({"books", "books5"}),
    "ticker": frozenset({"tickers", "bbo-tbt"}),
    "candle": frozenset(protocol.CANDLES),
    "balance": protocol.PRIVATE_CHANNELS,
    "funding": protocol.PERPETUAL_CHANNELS,
    "markprice": frozenset({"mark-price"}),
    "openinterest": frozenset({"open-interest"}),
    "liquidation": frozenset({protocol.LIQUIDATIONS}),
}


class Okx:
    """The facts."""

    title = "OKX v5"
    paths: Mapping[str, str] = {path.name.lower(): path.value for path in Path}
    routes = tuple(paths.values())
    rest_prefix = "/api/"
    endpoints: Mapping[str, str] = {path.removeprefix(_API): path for path in rest.ENDPOINTS}
    channels: Mapping[str, frozenset[str]] = _DATA_TYPES | {
        channel: frozenset({channel}) for channels in _DATA_TYPES.values() for channel in channels
    }
    error_messages = protocol.ERROR_MESSAGES
    ban_status = 403
    exclusion = Reply(403, "")
    """No words of OKX are known."""
    connection_window = 1.0
    words = WORDS
    checksum = staticmethod(protocol.checksum)
    make_instrument = staticmethod(made_instrument)
    fixed_kinds: frozenset[str] = frozenset()
    market_name = staticmethod(market_name)
    read_frame = staticmethod(read_frame)
    too_slow = Close(protocol.READS_TOO_SLOWLY, "Your connection buffer is full")
    fill_row = staticmethod(rest.fill_row)
    holding_row = staticmethod(account.row)

    def open(self, venue: Venue, truth: Truth, account: Account, options: ServerOptions) -> "Frontend":
        return Frontend(venue, truth, account, options)

    def path(self, path: str) -> str:
        return path

    def trade_row(self, symbol: str, row: TradeRow) -> str:
        return protocol.merged_trades(Trades(0, symbol, (row,)))


class Frontend:
    """One running exchange."""

    def __init__(self, venue: Venue, truth: Truth, account: Account, options: ServerOptions) -> None:
        self._venue, self._truth, self._account, self._options = venue, truth, account, options
        self._publications = Publications(venue)
        self._limits = rest.RateLimits(options.has_rate_limits)

    def session(self, name: str, target: str) -> Session:
        return Session(name, Path(target.partition("?")[0]), self._options.silence_limit)

    def publish(self, event: Event, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The pushes of an event, and every 10 s that of the account."""
        pushes = self._publications.publish(event, wanted)
        if isinstance(event, Tick) and account.KEY in wanted and event.time_us % account.REPEATED_US == 0:
            pushes += [(account.KEY, text) for text in account.snapshot(self._account, event.time_us // 1000)]
        return pushes

    def first(self, key: Key) -> list[str]:
        """The current state, in pages for the account. Trades and liquidations have none."""
        if key == account.KEY:
            return account.snapshot(self._account, self._venue.now_ms)
        if key.channel == protocol.LIQUIDATIONS:
            return []
        text = self._publications.of[key.instrument].present(key)
        return [] if text is None else [text]

    def holding_changed(self, currency: str) -> list[tuple[Key, str]]:
        return [(account.KEY, account.change(currency, self._account.holdings[currency]))]

    def login_refusal(self, login: Mapping[str, Any], now_ms: int) -> tuple[str, str] | None:
        return account.refusal(self._account.key, login, now_ms)

    def symbol(self, path: str, query: Mapping[str, str]) -> str:
        return query.get("instId", "")

    def rest(self, request: RestRequest) -> Reply:
        return rest.answer(rest.Call(request, self._venue, self._publications, self._truth), self._limits)
