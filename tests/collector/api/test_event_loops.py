"""Collectors and managers on event loops of every kind: closed, paused, of another thread, of a notebook, uvloop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from functools import partial
from importlib import import_module
from typing import Any

import pytest

from kube import missing
from market_collector.api.collector import ExchangeCollector
from market_collector.api.configuration import ExchangeCollectorConfig
from market_collector.api.manager import CollectorManager
from market_collector.api.points import DataPoint
from market_collector.errors import WrongLoopError
from market_collector.model.streams import DataType
from simulator_process import Simulator

pytestmark = [pytest.mark.simulator, pytest.mark.usefixtures("folder")]


def collector(exchange: Simulator, *types: DataType) -> ExchangeCollector:
    params = {"websocket_endpoint": exchange.websocket, "rest_endpoint": exchange.rest}
    return ExchangeCollector(ExchangeCollectorConfig("okx", "BTC-USDT", types or ["trade"], custom_params=params))


def manager_of(made: ExchangeCollector) -> CollectorManager:
    manager = CollectorManager()
    manager.add_collector(made)
    return manager


async def comes(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)


async def result_of(call: Callable[[], Any]) -> Any:
    value = call()
    return await value if isinstance(value, Awaitable) else value


class Notebook:
    """Cells that run one after the other on a loop that runs in between too, as in a Jupyter kernel."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def cell(self, code: Callable[[], Any]) -> Any:
        """Runs a cell, which may end with a wait, and returns its value."""
        done: Future[Any] = asyncio.run_coroutine_threadsafe(result_of(code), self.loop)
        return done.result(60)


@pytest.fixture(params=["asyncio", "uvloop"])
def library(request: pytest.FixtureRequest) -> Any:
    """The module that makes the event loop."""
    try:
        return import_module(request.param)
    except ModuleNotFoundError:
        missing(f"{request.param} is not installed: run `make setup`")


@pytest.fixture
def notebook(library: Any) -> Iterator[Notebook]:
    loop = library.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield Notebook(loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_everything_is_collected_in_cells_of_a_notebook(exchange: Simulator, notebook: Notebook) -> None:
    types = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLE)
    points: dict[DataType, list[DataPoint]] = {each: [] for each in types}
    made = notebook.cell(lambda: collector(exchange, *types))
    assert notebook.cell(lambda: made.start())
    for each in types:
        notebook.cell(partial(made.add_data_callback, each, points[each].append))
    exchange.post("/faults/drop", {})
    notebook.cell(lambda: comes(lambda: all(points.values())))
    notebook.cell(lambda: comes(lambda: made.get_status()["websocket_stats"]["reconnections"]))
    assert notebook.cell(lambda: made.get_status()["state"]) == "running"
    notebook.cell(lambda: made.stop())
    assert made.state == "stopped"
    assert asyncio.all_tasks(notebook.loop) == set()


def test_stream_and_book_are_read_in_cells_of_a_notebook(exchange: Simulator, notebook: Notebook) -> None:
    made = notebook.cell(lambda: collector(exchange, DataType.TRADE, DataType.ORDERBOOK))
    notebook.cell(lambda: made.start())
    records = notebook.cell(lambda: made.stream(DataType.TRADE))
    ids = [int(notebook.cell(lambda: anext(records)).trade_id) for _ in range(20)]
    assert ids == list(range(ids[0], ids[0] + 20))
    assert notebook.cell(lambda: made.book("BTC-USDT").spread) > 0
    notebook.cell(lambda: made.stop())
    assert asyncio.all_tasks(notebook.loop) == set()


def test_a_manager_runs_in_cells_of_a_notebook(exchange: Simulator, notebook: Notebook) -> None:
    made = collector(exchange)
    manager = manager_of(made)
    assert notebook.cell(lambda: manager.start())
    notebook.cell(lambda: comes(lambda: made.get_status()["records"]))
    notebook.cell(lambda: manager.stop())
    assert not manager.get_status()["running"]


CALLS_OF_A_COLLECTOR: list[Callable[[ExchangeCollector], Any]] = [
    lambda made: made.start(),
    lambda made: made.stop(),
    lambda made: made.wait_until_stopped(),
    lambda made: made.ask_to_stop(),
    lambda made: made.add_data_callback(DataType.TRADE, print),
    lambda made: made.remove_data_callback(DataType.TRADE, print),
    lambda made: made.add_event_callback(print),
    lambda made: made.remove_event_callback(print),
    lambda made: made.stream(),
    lambda made: made.book("BTC-USDT"),
]

CALLS_OF_A_MANAGER: list[Callable[[CollectorManager, ExchangeCollector], Any]] = [
    lambda manager, made: manager.start(),
    lambda manager, made: manager.stop(),
    lambda manager, made: manager.add_collector(made),
    lambda manager, made: manager.remove_collector(made),
]


async def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(WrongLoopError, match="belongs to the event loop of its start"):
        await result_of(call)


def test_every_call_from_another_loop_is_refused(exchange: Simulator, notebook: Notebook) -> None:
    made = collector(exchange)
    notebook.cell(lambda: made.start())
    for call in CALLS_OF_A_COLLECTOR:
        asyncio.run(refused(partial(call, made)))
    assert made.get_status()["state"] == "running"
    with pytest.raises(WrongLoopError):
        made.ask_to_stop()  # of another thread, without a loop
    notebook.cell(lambda: made.stop())


def test_every_call_of_a_manager_from_another_loop_is_refused(exchange: Simulator, notebook: Notebook) -> None:
    made, other = collector(exchange), collector(exchange)
    manager = manager_of(made)
    notebook.cell(lambda: manager.start())
    for call in CALLS_OF_A_MANAGER:
        asyncio.run(refused(partial(call, manager, other)))
    assert manager.get_status()["running_collectors"] == 1
    notebook.cell(lambda: manager.stop())


def test_a_collector_of_another_loop_ends_the_start_of_a_manager(exchange: Simulator, notebook: Notebook) -> None:
    made = collector(exchange)
    notebook.cell(lambda: made.start())
    asyncio.run(refused(manager_of(made).start))
    assert made.state == "running"
    notebook.cell(lambda: made.stop())


def test_after_the_loop_has_ended_the_health_says_so(exchange: Simulator, library: Any) -> None:
    made = collector(exchange)
    library.run(made.start())
    for _ in range(2):
        assert made.state == "stopped"
        (issue,) = made.get_health_status()["issues"]
        assert issue.startswith("stopped: the event loop of start() has ended, as asyncio.run() ends it")
        assert made.get_status()["error"] in issue
        library.run(made.stop())


def test_after_the_loop_has_ended_it_starts_in_another(exchange: Simulator) -> None:
    made = collector(exchange)
    manager = manager_of(made)
    for _ in range(2):
        asyncio.run(manager.start())
        assert not manager.get_status()["running"]
        assert not made.get_health_status()["is_healthy"]
    asyncio.run(manager.stop())

    async def again() -> None:
        async with manager:
            assert manager.get_status()["running_collectors"] == 1

    asyncio.run(again())
    assert made.get_health_status()["issues"] == ["stopped"]


def test_a_loop_that_pauses_is_named_until_it_goes_on(exchange: Simulator) -> None:
    made, loop = collector(exchange), asyncio.new_event_loop()
    loop.run_until_complete(made.start())
    made.add_data_callback(DataType.TRADE, print)
    made.remove_data_callback(DataType.TRADE, print)
    health = made.get_health_status()
    assert health["health"] == "Unhealthy"
    assert health["issues"][0].startswith("the event loop of start() does not run")
    asyncio.run(refused(made.stop))
    loop.run_until_complete(made.stop())
    loop.close()
    assert made.get_health_status()["issues"] == ["stopped"]


async def test_a_task_that_is_cancelled_from_outside_is_named(exchange: Simulator) -> None:
    made = collector(exchange)
    await made.start()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == f"collector {made.name}"]
    task.cancel()
    await made.wait_until_stopped()
    assert made.get_health_status()["issues"] == ["stopped: its task was cancelled"]
