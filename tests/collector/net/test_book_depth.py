"""The wanted depth of books reaches each connection."""

from collections.abc import Sequence

from imaginary_exchange import ImaginaryCodec, ImaginaryExchange
from imaginary_server import collection, imaginary_server
from market_collector.exchanges.interface import REST, WEBSOCKET
from market_collector.model.streams import DataType, Stream


class DepthInPath(ImaginaryExchange):
    """Names the depth in the path, as some exchanges do in the channel."""

    def codec(self, route: str, streams: Sequence[Stream], book_depth: int | None) -> ImaginaryCodec:
        codec = super().codec(route, streams, book_depth)
        codec.path = f"/books{book_depth}"
        return codec


async def test_depth_of_the_settings_reaches_the_codec() -> None:
    async with imaginary_server() as server:
        exchange = DepthInPath(hosts={WEBSOCKET: server.websocket, REST: "http://127.0.0.1:9"})
        async with collection(exchange, Stream("BTC-USDT", DataType.TRADE), book_depth=50) as running:
            await running.comes(lambda: server.clients)
        assert server.paths == ["/books50"]
