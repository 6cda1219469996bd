"""A whole exchange: trades with dense ids and counted books on one connection, the rest over REST."""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from market_collector.book.book import Book
from market_collector.book.rule import BookRule, Proof
from market_collector.errors import FrameError
from market_collector.exchanges.decimals import check_decimals
from market_collector.exchanges.freshness import by_number
from market_collector.exchanges.http_status import HTTP_OK, problem_of_status
from market_collector.exchanges.interface import (
    REST,
    WEBSOCKET,
    Ack,
    Batch,
    Budget,
    Closing,
    Freshness,
    Heartbeat,
    History,
    HistoryRange,
    Limits,
    Message,
    Pong,
    Request,
    RestProblem,
    Route,
    Seen,
    Sign,
    Signer,
    Window,
)
from market_collector.model.events import Data, Instrument, Level, Orderbook, Trade
from market_collector.model.streams import DataType, Stream

NAME = "small"


def decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise FrameError(f"no JSON: {error}") from error


def trade_of(symbol: str, row: Sequence[Any], received_ns: int, backfilled: bool = False) -> Trade:
    number, ms, side, price, amount = row
    check_decimals((price, amount))
    return Trade(
        NAME, symbol, ms * 10**6, received_ns, str(number), str(number), 1, side, price, amount, None, backfilled
    )


def instrument_of(name: str, received_ns: int) -> Instrument:
    base, quote = name.split("-")
    return Instrument(
        NAME, name, None, received_ns, received_ns, name, "spot", base, quote, "base", "0.01", "0.1", "0.1", None, "trading",
        None, trade_ids="dense", sequence_scope="exchange", trades_share_sequence=False, trade_kinds=[],
    )  # fmt: skip


class SmallCodec:
    path = "/stream"

    def __init__(self, streams: Iterable[Stream]) -> None:
        self._by_name = {str(stream): stream for stream in streams}

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        return [json.dumps({"join": [str(stream) for stream in streams]})]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        return [json.dumps({"leave": [str(stream) for stream in streams]})]

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        match decoded(frame):
            case {"joined": names}:
                return [Ack(tuple(self._by_name[name] for name in names))]
            case {"trades": symbol, "rows": rows}:
                return [
                    Batch(self._by_name[f"{symbol}/trade"], [trade_of(symbol, row, receive_time_ns) for row in rows])
                ]
            case {"pong": _}:
                return [Pong()]
            case {"book": symbol, "at": ms, "number": number, "whole": is_whole, "bids": bids, "asks": asks}:
                sides = [[Level(price, amount) for price, amount in side] for side in (bids, asks)]
                action, before = ("snapshot", None) if is_whole else ("update", number - 1)
                book = Orderbook(NAME, symbol, ms * 10**6, receive_time_ns, action, *sides, number, before)  # type: ignore
                return [Batch(self._by_name[f"{symbol}/orderbook"], [book])]
        raise FrameError(f"an unknown frame: {frame[:60]!r}")


class SmallApi:
    budgets: Mapping[str, Budget] = {"": Budget(per_second=20.0, capacity=20.0)}
    history_page = 10

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> RestProblem | None:
        return None if status == HTTP_OK else problem_of_status(status, headers, 1.0)

    def used_share(self, bucket: str, headers: Mapping[str, str]) -> float:
        return 0.0

    def instruments(self, kind: str) -> Request:
        return Request("/markets")

    def read_instruments(self, symbols: Set[str] | None, body: bytes, receive_time_ns: int) -> Sequence[Instrument]:
        wanted = [name for name in decoded(body) if symbols is None or name in symbols]
        return [instrument_of(name, receive_time_ns) for name in wanted]

    def more_instruments(self, body: bytes) -> None:
        return None

    def unlisted(self, symbols: Set[str], body: bytes) -> Set[str]:
        return symbols - set(decoded(body))

    def time(self) -> Request:
        return Request("/time")

    def read_time(self, body: bytes) -> int:
        return int(decoded(body)) * 10**6

    def newest(self, stream: Stream) -> Request:
        return Request(f"/newest/{stream}")

    def judge(self, stream: Stream, seen: Seen, body: bytes) -> Freshness:
        return by_number(decoded(body), seen.answer if seen.last is None else self.mark(seen.last))

    def overview(self, kind: str) -> Request | None:
        return None

    def read_overview(self, streams: Iterable[Stream], body: bytes) -> Mapping[Stream, Sign]:
        return {}

    def mark(self, record: Data) -> int:
        return int(record.trade_id) if isinstance(record, Trade) else getattr(record, "sequence", 0)

    def halted(self, body: bytes) -> Mapping[str, str]:
        return {}

    def state(self, stream: Stream) -> Request:
        return Request("/markets")

    def history(self, stream: Stream, missing: HistoryRange) -> Request:
        return Request(f"/trades/{stream.symbol}/{missing.first}/{min(missing.last, missing.first + 9)}")

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> History:
        rows = decoded(body)
        records = [trade_of(stream.symbol, row, receive_time_ns, backfilled=True) for row in rows]
        return History(records, 0, (None, rows[-1][0] if rows else None))


class SmallExchange:
    name = NAME
    offers = frozenset({DataType.TRADE, DataType.ORDERBOOK})
    book_depths = (10,)
    books = BookRule(Proof.COUNTER)
    book_snapshots = polls = recent_trades = None
    candle_intervals: tuple[str, ...] = ()
    skips_empty_candles = False
    hosts: Mapping[str, str] = {WEBSOCKET: "wss://stream.small.example", REST: "https://rest.small.example"}
    routes: Mapping[str, Route] = {"public": Route()}
    heartbeat = Heartbeat(ping='{"ping":{id}}', max_interval_s=30.0)
    limits = Limits(dial=Window(10, 1.0))
    has_dense_trade_ids = True
    rest_api = SmallApi()

    def signer(self) -> Signer:
        raise ValueError("no stream needs a key")

    def route(self, stream: Stream) -> str:
        return "public"

    def codec(self, route: str, streams: Sequence[Stream], book_depth: int | None) -> SmallCodec:
        return SmallCodec(streams)

    def closing(self, code: int, reason: str) -> Closing:
        return Closing.OTHER

    def is_intact(self, book: Book, checksum: int) -> bool:
        return True
