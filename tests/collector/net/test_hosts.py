"""Connections go to the host of their route, unless the spec replaces all hosts."""

from imaginary_exchange import ImaginaryExchange
from imaginary_server import collection, imaginary_server
from market_collector.exchanges.interface import REST, WEBSOCKET, Route
from market_collector.model.streams import DataType, Stream

STREAMS = [Stream("BTC-USDT", DataType.TRADE), Stream("BTC-USDT", DataType.TICKER)]
ROUTES = {"trade": Route(), "ticker": Route("other")}


async def test_each_route_connects_to_its_host() -> None:
    async with imaginary_server() as one, imaginary_server() as other:
        hosts = {WEBSOCKET: one.websocket, "other": other.websocket, REST: "http://127.0.0.1:9"}
        async with collection(ImaginaryExchange(hosts=hosts, routes=ROUTES), *STREAMS) as running:
            await running.comes(lambda: one.clients and other.clients)
        assert (one.paths, other.paths) == (["/trade"], ["/ticker"])


async def test_endpoint_of_the_spec_replaces_every_host() -> None:
    async with imaginary_server() as one:
        hosts = {WEBSOCKET: "ws://127.0.0.1:9", "other": "ws://127.0.0.1:9", REST: "http://127.0.0.1:9"}
        exchange = ImaginaryExchange(hosts=hosts, routes=ROUTES)
        async with collection(exchange, *STREAMS, websocket=one.websocket) as running:
            await running.comes(lambda: len(one.clients) == 2)
        assert sorted(one.paths) == ["/ticker", "/trade"]
