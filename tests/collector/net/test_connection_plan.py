"""Streams are spread over as few connections as the exchange's limit allows, and few move when the symbols change."""

from hypothesis import given
from hypothesis import strategies as st

from imaginary_exchange import ImaginaryExchange
from imaginary_server import collection, imaginary_server, trades
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.interface import Route
from market_collector.model.streams import DataType, Stream
from market_collector.net.connection_plan import plan_connections

SYMBOLS = st.lists(st.integers(0, 10_000), min_size=1, max_size=120, unique=True)


def limited(limit: int | None) -> ImaginaryExchange:
    return ImaginaryExchange(routes={"trade": Route(streams_per_connection=limit), "ticker": Route()})


def placed(limit: int, numbers: list[int]) -> dict[Stream, int]:
    """The position of each stream's connection in the plan."""
    plan = plan_connections(limited(limit), trades(*(f"S{number}-USDT" for number in numbers)))
    return {stream: position for position, planned in enumerate(plan) for stream in planned.streams}


@given(numbers=SYMBOLS, limit=st.integers(1, 40))
def test_plan_has_as_few_connections_as_the_limit_allows(numbers: list[int], limit: int) -> None:
    streams = trades(*(f"S{number}-USDT" for number in numbers))
    plan = plan_connections(limited(limit), streams)
    assert len(plan) == -(-len(streams) // limit)
    assert all(1 <= len(planned.streams) <= limit for planned in plan)
    assert sorted(stream for planned in plan for stream in planned.streams) == sorted(streams)


def test_connections_of_a_route_are_numbered_when_there_are_several() -> None:
    streams = [*trades(*(f"S{number}-USDT" for number in range(5))), Stream("S1-USDT", DataType.TICKER)]
    plan = plan_connections(limited(2), streams)
    assert [planned.name for planned in plan] == ["trade/1", "trade/2", "trade/3", "ticker"]
    assert {planned.route for planned in plan} == {"trade", "ticker"}


def test_okx_keeps_the_names_of_its_routes() -> None:
    streams = [Stream(f"S{number}-USDT", kind) for number in range(500) for kind in (DataType.TICKER, DataType.TRADE)]
    assert [planned.name for planned in plan_connections(EXCHANGES["okx"], streams)] == ["public", "business"]


@given(numbers=SYMBOLS)
def test_order_of_the_symbols_changes_nothing(numbers: list[int]) -> None:
    assert placed(7, numbers) == placed(7, sorted(numbers))


@given(numbers=SYMBOLS, limit=st.integers(1, 40))
def test_another_symbol_moves_at_most_one_stream_of_a_connection(numbers: list[int], limit: int) -> None:
    before, after = placed(limit, numbers[1:]), placed(limit, numbers)
    moved = [position for stream, position in before.items() if after[stream] != position]
    assert len(moved) == len(set(moved))


def test_streams_of_a_symbol_share_a_connection_where_the_limit_allows() -> None:
    kinds = (DataType.TICKER, DataType.ORDERBOOK, DataType.TRADE)
    streams = [Stream(f"S{number}-USDT", kind) for kind in kinds for number in range(4)]
    exchange = ImaginaryExchange(routes={"all": Route(streams_per_connection=3)})
    symbols = [{stream.symbol for stream in planned.streams} for planned in plan_connections(exchange, streams)]
    assert symbols == [{f"S{number}-USDT"} for number in range(4)]


async def test_server_with_a_limit_gets_no_more_streams_on_a_connection() -> None:
    streams = trades(*(f"S{number}-USDT" for number in range(10)))
    async with (
        imaginary_server(streams_per_connection=4) as server,
        collection(limited(4), *streams, websocket=server.websocket) as running,
    ):
        await running.is_complete()
        assert server.refused == []
        assert sorted(name for client in server.clients for name in client.streams) == sorted(map(str, streams))
        assert [link.name for link in running.supervisor.links] == ["trade/1", "trade/2", "trade/3"]
        running.supervisor.reconnect("trade", "asked")
        await running.comes(lambda: len(server.clients) == 6)
        running.supervisor.reconnect("trade/2", "asked")
        await running.comes(lambda: len(server.clients) == 7)
