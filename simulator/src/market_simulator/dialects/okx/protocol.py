"""OKX v5's protocol: channels and their paths, frames, acknowledgements and errors (docs/exchanges/okx.md)."""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final
from zlib import crc32

from market_simulator.dialects.okx.candles import BARS
from market_simulator.engine.book import Book
from market_simulator.engine.events import BookChange, Key, Level, RecordedRow, Trades
from market_simulator.engine.instruments import kind_of
from market_simulator.engine.truth import BookState

PONG: Final = "pong"
REQUESTS_AN_HOUR: Final = 480
NO_DATA: Final = 4004
READS_TOO_SLOWLY: Final = 4005
LOGIN_FAILED: Final = 4001
KEY_CHANGED: Final = 4007


class Path(StrEnum):
    """The WebSocket paths."""

    PUBLIC = "/ws/v5/public"
    BUSINESS = "/ws/v5/business"
    PRIVATE = "/ws/v5/private"


CANDLES: Final = {f"candle{name}": bar for name, bar in BARS.items()}
PUBLIC_CHANNELS: Final = frozenset({"trades", "books", "books5", "bbo-tbt", "tickers"})
PERPETUAL_CHANNELS: Final = frozenset({"funding-rate"})
CONTRACT_CHANNELS: Final = frozenset({"mark-price", "open-interest"}) | PERPETUAL_CHANNELS
"""Channels that only derivatives have, each of one instrument, on the public path."""
_TIMES: Final = ("ts", "fundingTime", "nextFundingTime", "prevFundingTime")
LIQUIDATIONS: Final = "liquidation-orders"
"""The only channel of all instruments of a type. The instrument of its `Key` is the type."""
_ON_PUBLIC = PUBLIC_CHANNELS | CONTRACT_CHANNELS | {LIQUIDATIONS}
BUSINESS_CHANNELS: Final = frozenset({"trades-all", *CANDLES})
PRIVATE_CHANNELS: Final = frozenset({"account"})
VIP_CHANNELS: Final = frozenset({"books-l2-tbt", "books50-l2-tbt"})

ERROR_MESSAGES: Final = {
    "60009": "Login failed.",
    "60012": "Invalid request",
    "60014": "Requests too frequent",
    "60018": "Wrong URL or channel doesn't exist.",
    "63999": "Internal system error",
    "64003": "Your trading fee tier doesn't meet the requirement to access this channel",
    "64007": "Operation failed due to WebSocket internal error",
}

_MOVED = (
    'This channel has been migrated to the "/business" URL. Please subscribe using the corresponding "/business" URL.'
)
_NOT_ON_BUSINESS = (
    'This channel is not supported by "/business" URL. Please use "/private" URL(for private channels), '
    'or "/public" URL(for public channels).'
)


def refusal(path: Path, key: Key, instruments: Iterable[str], is_logged_in: bool = False) -> tuple[str, str] | None:
    """Check a stream: the error as (code, msg), or None if this path offers the stream."""
    if path is Path.PRIVATE and not is_logged_in:
        return "60011", "Please log in"
    if path is Path.PRIVATE and key.channel in PRIVATE_CHANNELS:
        return None
    offered = {Path.PUBLIC: _ON_PUBLIC, Path.BUSINESS: BUSINESS_CHANNELS}.get(path, frozenset())
    if key.channel in VIP_CHANNELS and path is Path.PUBLIC:
        return "64003", "Your trading fee tier doesn't meet the requirement to access this channel"
    if key.channel in offered and (key.instrument in instruments or key.channel == LIQUIDATIONS) and _has(key):
        return None
    if key.channel in BUSINESS_CHANNELS and path is Path.PUBLIC:
        return "64001", _MOVED
    if key.channel in _ON_PUBLIC and path is Path.BUSINESS:
        return "64002", _NOT_ON_BUSINESS
    what = f"channel:{key.channel},instId:{key.instrument}"
    advice = "Please use the correct URL, channel and parameters referring to API document."
    return "60018", f"Wrong URL or {what} doesn't exist. {advice}"


def _has(key: Key) -> bool:
    """Whether instruments of this kind have data of the channel."""
    if key.channel == LIQUIDATIONS:
        return key.instrument in ("SWAP", "FUTURES")
    kinds = ("SWAP",) if key.channel in PERPETUAL_CHANNELS else ("SWAP", "FUTURES")
    return key.channel not in CONTRACT_CHANNELS or kind_of(key.instrument) in kinds


# -- frames --------------------------------------------------------------------------------------------------------


def compact(value: Any) -> str:
    """Encode JSON as OKX does, without spaces."""
    return json.dumps(value, separators=(",", ":"))


def acknowledgement(event: str, key: Key, request_id: str | None, connection_id: str) -> str:
    """Acknowledge a request: `{"id":"1512","event":"subscribe","arg":{...},"connId":"a4d3ae55"}`."""
    return compact({**_id(request_id), "event": event, "arg": _arg(key), "connId": connection_id})


def logged_in(request_id: str | None, connection_id: str) -> str:
    """Acknowledge a login: `{"event":"login","code":"0","msg":"","connId":"a4d3ae55"}`."""
    return compact({**_id(request_id), "event": "login", "code": "0", "msg": "", "connId": connection_id})


def connection_count(channel: str, count: int, connection_id: str) -> str:
    """The number of connections with a private channel, sent after its subscription."""
    return compact(
        {"event": "channel-conn-count", "channel": channel, "connCount": str(count), "connId": connection_id}
    )


def error(code: str, message: str, request_id: str | None, connection_id: str, key: Key | None = None) -> str:
    """An error event: `{"id":"1512","event":"error","code":"60012","msg":"...","connId":"a4d3ae55"}`.

    With `key` it has the `arg` of the stream that it belongs to.
    """
    arg = {} if key is None else {"arg": _arg(key)}
    return compact({**_id(request_id), "event": "error", **arg, "code": code, "msg": message, "connId": connection_id})


def notice(connection_id: str) -> str:
    """The notice about 60 s before OKX closes connections for an upgrade (docs/exchanges/okx.md section 3)."""
    message = "The connection will soon be closed for a service upgrade. Please reconnect."
    return compact({"event": "notice", "code": "64008", "msg": message, "connId": connection_id})


def _arg(key: Key) -> dict[str, str]:
    name = "instType" if key.channel == LIQUIDATIONS else "instId"
    return {"channel": key.channel} | ({name: key.instrument} if key.instrument else {})


def _id(request_id: str | None) -> dict[str, str]:
    return {} if request_id is None else {"id": request_id}


def push(key: Key, data: str) -> str:
    """A data push; `data` is the JSON of the rows without the surrounding brackets."""
    return f'{{"arg":{compact(_arg(key))},"data":[{data}]}}'


def merged_trades(event: Trades) -> str:
    """The rows of channel `trades`, which merge the fills of one order at one price and give their `count`."""
    return ",".join(
        f'{{"instId":"{event.instrument}","tradeId":"{row.last_id}","px":"{row.price}","sz":"{row.size}",'
        f'"side":"{row.side}","ts":"{row.ts_ms}","count":"{len(row.sizes)}","source":"{row.source}",'
        f'"seqId":{row.sequence}}}'
        for row in event.rows
    )


def single_fills(event: Trades) -> str:
    """The rows of channel `trades-all`: single fills without `count`."""
    return ",".join(
        f'{{"instId":"{event.instrument}","tradeId":"{row.first_id + place}","px":"{row.price}","sz":"{size}",'
        f'"side":"{row.side}","ts":"{row.ts_ms}","source":"{row.source}","seqId":{row.sequence}}}'
        for row in event.rows
        for place, size in enumerate(row.sizes)
    )


def book_update(change: BookChange) -> str:
    """A push of channel `books`: "snapshot" for the instrument's first state, else "update"."""
    if change.is_snapshot:
        return book_snapshot(change, change.bids, change.asks)
    return _book("update", change, change.bids, change.asks, change.previous)


def book_snapshot(state: BookChange, bids: Iterable[Level], asks: Iterable[Level]) -> str:
    """The full book after `state`. A snapshot's prevSeqId is -1."""
    return _book("snapshot", state, bids, asks, -1)


def _book(action: str, state: BookChange, bids: Iterable[Level], asks: Iterable[Level], previous: int) -> str:
    return (
        f'{{"arg":{{"channel":"books","instId":"{state.instrument}"}},"action":"{action}","data":[{{'
        f'"asks":{levels(asks)},"bids":{levels(bids)},"ts":"{state.ts_ms}","checksum":{state.checksum},'
        f'"seqId":{state.sequence},"prevSeqId":{previous}}}]}}'
    )


def book_row(state: BookChange | BookState, bids: list[Level], asks: list[Level]) -> str:
    """The only row of `books5`, `bbo-tbt` and `GET /api/v5/market/books`: a full book of limited depth."""
    return f'{{"asks":{levels(asks)},"bids":{levels(bids)},"ts":"{state.ts_ms}","seqId":{state.sequence}}}'


def levels(rows: Iterable[Level]) -> str:
    """The levels of a side: `[["px","sz","0","orders"],...]`."""
    return "[" + ",".join([f'["{price}","{size}","0","{orders}"]' for _, price, size, orders in rows]) + "]"


def recorded_row(event: RecordedRow) -> str:
    """A recorded row with its new times and number."""
    shift_ms = event.ts_ms - int(event.row["ts"])
    times = {name: str(int(event.row[name]) + shift_ms) for name in _TIMES if event.row.get(name)}
    row = {**event.row, **times}
    return compact(row if event.sequence is None else {**row, "seqId": event.sequence})


def checksum(book: Book) -> int:
    """The CRC of the best 25 levels a side, as it was sent until 2026-06-23 (docs/exchanges/okx.md section 6)."""
    bids, asks = book.bids.best(25), book.asks.best(25)
    parts: list[str] = []
    for place in range(max(len(bids), len(asks))):
        parts += [f"{row.price}:{row.size}" for row in (*bids[place : place + 1], *asks[place : place + 1])]
    value = crc32(":".join(parts).encode())
    return value - (1 << 32) if value >= 1 << 31 else value
