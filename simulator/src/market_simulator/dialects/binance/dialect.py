"""Binance as a dialect, spot and USD-M perpetuals: its facts, and the frontend of a running exchange."""

from collections.abc import Container, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from market_simulator.dialects.binance import account, frames, futures, futures_rest, rest
from market_simulator.dialects.binance.connections import Upkeep
from market_simulator.dialects.binance.futures import FuturesPublisher
from market_simulator.dialects.binance.instruments import made_instrument
from market_simulator.dialects.binance.publications import Publisher
from market_simulator.dialects.binance.recording import read_frame
from market_simulator.dialects.binance.streams import StreamSession
from market_simulator.dialects.binance.user_data import ApiSession
from market_simulator.dialects.binance.words import WORDS
from market_simulator.engine.account import Account
from market_simulator.engine.book import Book
from market_simulator.engine.dialect import Close, Reply, RestRequest, ServerOptions, Session
from market_simulator.engine.events import Event, Key, TradeRow
from market_simulator.engine.publications import Publications
from market_simulator.engine.truth import Fill, Truth
from market_simulator.engine.venue import Board, Venue

RAW, COMBINED, USER_DATA = "/ws", "/stream", "/ws-api/v3"
_FUTURES: Mapping[str, frozenset[str]] = {"/public": futures.PUBLIC, "/market": futures.MARKET}
_PATHS = tuple(prefix + path for prefix in ("", *_FUTURES) for path in (RAW, COMBINED))
_DATA_TYPES: dict[str, frozenset[str]] = {
    "trade": frozenset({"trade", "aggTrade"}),
    "orderbook": frozenset({*frames.DEPTHS, *futures.DEPTHS}),
    "ticker": frozenset({"ticker", "bookTicker"}),
    "candle": frozenset(frames.KLINES),
    "balance": frozenset({account.KEY.channel}),
    "funding": frozenset(futures.MARKS),
    "markprice": frozenset(futures.MARKS),
    "liquidation": frozenset({futures.LIQUIDATIONS}),
}


class Binance:
    """The facts."""

    title = "Binance"
    paths: Mapping[str, str] = {path[1:].replace("/", "-"): path for path in _PATHS} | {"ws-api": USER_DATA}
    routes = (*_PATHS, *(path + "/{streams:.+}" for path in _PATHS if path.endswith(RAW)), USER_DATA)
    rest_prefix = "/{api:f?api}/"
    endpoints: Mapping[str, str] = {path.removeprefix(rest.API): path for path in rest.ENDPOINTS} | {
        path.removeprefix("/").replace("v1/", ""): path for path in futures_rest.ENDPOINTS
    }
    channels: Mapping[str, frozenset[str]] = {
        channel: frozenset({channel}) for channels in _DATA_TYPES.values() for channel in channels
    } | _DATA_TYPES
    error_messages: Mapping[str, str] = {
        "2": "Invalid request",
        "-1003": "Too many requests",
        "-1021": "Timestamp for this request is outside of the recvWindow.",
        "-1022": "Signature for this request is not valid.",
        "-2015": "Invalid API-key, IP, or permissions for action.",
    }
    ban_status = 418
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
        return next((short for short in _PATHS if path.startswith(f"{short}/")), path)

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
        self._publications = Publications(venue, _publisher)
        self._weights = {
            is_futures: rest.Weights(limit, options.has_rate_limits)
            for is_futures, limit in ((False, rest.WEIGHT_A_MINUTE), (True, futures_rest.WEIGHT_A_MINUTE))
        }
        self._symbols = {
            is_futures: {frames.native(name): name for name in venue.boards if _is_futures(name) == is_futures}
            for is_futures in (False, True)
        }
        self._recorded = {key.channel for key in venue.recorded}

    def session(self, name: str, target: str) -> Session:
        """Market streams, which the URL may name, or user data."""
        path, _, query = target.partition("?")
        upkeep = Upkeep(self._options.silence_limit, self._options.life)
        if path == USER_DATA:
            return ApiSession(name, path, upkeep, lambda omits_zero: account.status(self._account, omits_zero))
        prefix = next((prefix for prefix in _FUTURES if path.startswith(prefix)), "")
        names = {native.lower(): symbol for native, symbol in self._symbols[bool(prefix)].items()}
        offered = _FUTURES.get(prefix, frames.STREAMS) | self._recorded
        if path.endswith(COMBINED):
            in_query = _names(parse_qs(query).get("streams", [""])[0])
            return StreamSession(name, path, names, offered, upkeep, in_query, is_combined=True)
        in_path = _names(unquote(path.removeprefix(prefix + RAW)))
        return StreamSession(name, prefix + RAW, names, offered, upkeep, in_path)

    def publish(self, event: Event, wanted: Container[Key]) -> list[tuple[Key, str]]:
        return self._publications.publish(event, wanted)

    def first(self, key: Key) -> list[str]:
        """No stream has a first message."""
        return []

    def holding_changed(self, currency: str) -> list[tuple[Key, str]]:
        return [(account.KEY, account.position(currency, self._account.holdings[currency]))]

    def login_refusal(self, login: Mapping[str, Any], now_ms: int) -> tuple[str, str] | None:
        return account.refusal(self._account.key, login, now_ms)

    def symbol(self, path: str, query: Mapping[str, str]) -> str:
        return self._symbols[path.startswith(futures_rest.API)].get(query.get("symbol", ""), "")

    def rest(self, request: RestRequest) -> Reply:
        is_futures = request.path.startswith(futures_rest.API)
        symbols = self._symbols[is_futures]
        call = rest.Call(request, self._venue, self._publications, self._truth, self._account, symbols)
        endpoints = futures_rest.ENDPOINTS if is_futures else rest.ENDPOINTS
        return rest.answer(call, self._weights[is_futures], endpoints)


def _is_futures(symbol: str) -> bool:
    return symbol.endswith(frames.PERPETUAL)


def _publisher(board: Board, venue: Venue) -> Publisher:
    return (FuturesPublisher if _is_futures(board.instrument.id) else Publisher)(board, venue)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split("/") if name)
