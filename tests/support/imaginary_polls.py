"""Streams of an imaginary exchange that exist over REST only: candles, and an account."""

import json
from collections.abc import Sequence

from imaginary_exchange import ImaginaryExchange
from market_collector.errors import FrameError, InstrumentRefusedError
from market_collector.exchanges.interface import REST, WEBSOCKET, Access, AccountUpdate, Batch, Request, Route
from market_collector.model.events import Balance
from market_collector.model.streams import ACCOUNT, DataType, Stream
from rest_apis import API, minute

CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")
BALANCES = Stream(ACCOUNT, DataType.BALANCE)
ROUTES = {
    "all": Route(),
    "polled": Route(polled_every_s=10.0),
    "private": Route(polled_every_s=0.1, access=Access.SIGNED),
}


class ImaginaryPolls:
    """``{"closed":[5,6],"running":7}`` of candles, and ``{"BTC":"1"}`` of an account."""

    def request(self, stream: Stream) -> Request:
        if stream == BALANCES:
            return Request("/account", is_signed=True)
        return Request(f"/candles/{stream.symbol}")

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Batch | AccountUpdate:
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise FrameError(f"{stream}: {error}", stream) from error
        if "refused" in answer:
            raise InstrumentRefusedError("SymbolNotFound", answer["refused"])
        if stream == BALANCES:
            held = [
                Balance("imaginary", ACCOUNT, None, receive_time_ns, asset, total, None, None)
                for asset, total in answer.items()
            ]
            return AccountUpdate(stream, held, receive_time_ns, is_whole=True)
        candles = [minute(number) for number in answer["closed"]]
        return Batch(stream, [*candles, minute(answer["running"], closed=False)] if "running" in answer else candles)


class PollingExchange(ImaginaryExchange):
    """Candles and balances are polled; everything else has a connection."""

    def route(self, stream: Stream) -> str:
        return {DataType.CANDLE: "polled", DataType.BALANCE: "private"}.get(stream.data_type, "all")


def polling_exchange(rest: str, websocket: str = "ws://127.0.0.1:9", **changes: object) -> PollingExchange:
    """The exchange with its addresses."""
    hosts = {WEBSOCKET: websocket, REST: rest}
    return PollingExchange(hosts=hosts, routes=ROUTES, polls=ImaginaryPolls(), rest_api=API, **changes)


def closed(numbers: Sequence[int], running: int | None = None) -> bytes:
    """An answer about candles."""
    return json.dumps({"closed": list(numbers)} | ({} if running is None else {"running": running})).encode()
