"""Several collectors: together up, together down, and one that fails is started again."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market_collector.api.collector import ExchangeCollector
from market_collector.api.configuration import ExchangeCollectorConfig
from market_collector.api.manager import CollectorManager
from market_collector.api.points import DataPoint
from market_collector.errors import ConfigurationError, ConnectionFailedError
from market_collector.model.streams import DataType
from simulator_process import MARKET, Simulator, simulator

pytestmark = [pytest.mark.simulator, pytest.mark.usefixtures("folder", "nothing_is_left")]


def collector(exchange: Simulator, symbol: str = "BTC-USDT", **more: Any) -> ExchangeCollector:
    endpoints = {"websocket_endpoint": exchange.websocket, "rest_endpoint": exchange.rest}
    params = endpoints | {"backoff_initial": 0.05, "backoff_max": 0.2, "max_reconnect_attempts": 2}
    config = ExchangeCollectorConfig(
        "okx", symbol, [DataType.TRADE], health_check_interval=1, custom_params=params, **more
    )
    return ExchangeCollector(config)


async def comes(is_so: Callable[[], Any], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.02)


async def test_all_start_and_stop_together(exchange: Simulator) -> None:
    manager = CollectorManager("multi")
    names = [manager.add_collector(collector(exchange, symbol)) for symbol in ("BTC-USDT", "ETH-USDT")]
    assert names == ["okx_btc_usdt", "okx_eth_usdt"]
    assert not manager.get_status()["running"]
    assert await manager.start()
    status = manager.get_status()
    assert (status["name"], status["running"], status["total_collectors"], status["running_collectors"]) == (
        "multi",
        True,
        2,
        2,
    )
    assert {each["websocket_state"] for each in status["collectors"].values()} == {"connected"}
    await manager.stop()
    assert [each["state"] for each in manager.get_status()["collectors"].values()] == ["stopped", "stopped"]
    async with manager:
        assert manager.get_status()["running_collectors"] == 2


async def test_a_collector_may_come_and_go_while_it_runs(exchange: Simulator) -> None:
    first, second = collector(exchange), collector(exchange)
    async with CollectorManager() as manager:
        assert manager.add_collector(first) == "okx_btc_usdt"
        assert manager.add_collector(second) == "okx_btc_usdt_2"
        await comes(lambda: manager.get_status()["running_collectors"] == 2)
        await manager.remove_collector(first)
        assert first.state == "stopped"
        manager.remove_collector("okx_btc_usdt_2")  # not awaited: stop() waits for it
        assert manager.get_status()["total_collectors"] == 0
        for _ in range(3):  # what has left is not kept
            manager.remove_collector(manager.add_collector(collector(exchange)))
            await asyncio.sleep(0.3)
        assert len(manager._leaving) <= 2
    assert second.state == "stopped"


async def test_an_unknown_removal_and_a_second_addition_are_errors(exchange: Simulator) -> None:
    manager = CollectorManager("multi")
    made = collector(exchange)
    manager.add_collector(made)
    with pytest.raises(ConfigurationError, match=r"multi: there is no collector other\. Collectors: okx_btc_usdt"):
        manager.remove_collector("other")
    with pytest.raises(ConfigurationError, match="okx_btc_usdt was added already"):
        manager.add_collector(made)
    await manager.remove_collector(made)
    manager.add_collector(made)


async def test_one_that_cannot_start_is_named_and_the_others_run(exchange: Simulator) -> None:
    manager = CollectorManager()
    points = list[DataPoint]()
    good, bad = collector(exchange), collector(exchange, "NO-SUCH", auto_restart=False)
    good.add_data_callback(DataType.TRADE, points.append)
    manager.add_collector(bad)
    manager.add_collector(good)
    async with manager:
        await comes(lambda: points)
        status = manager.get_status()
        assert status["failed_collectors"] == ["okx_no_such"]
        assert "SymbolNotFound" in status["collectors"]["okx_no_such"]["error"]
        await asyncio.sleep(1.2)
        assert manager.get_status()["restarts"] == {"okx_no_such": 0, "okx_btc_usdt": 0}


async def test_when_none_can_start_the_error_says_why_of_each(exchange: Simulator) -> None:
    manager = CollectorManager("multi")
    manager.add_collector(collector(exchange, "NO-SUCH"))
    manager.add_collector(collector(exchange, "NOR-THIS"))
    with pytest.raises(ConnectionFailedError, match=r"multi: none of 2 collectors.*NO-SUCH/trade.*NOR-THIS/trade"):
        await manager.start()
    assert not manager.get_status()["running"]


async def test_a_failed_collector_is_started_again_when_the_exchange_is_back(exchange: Simulator) -> None:
    with simulator(*MARKET) as other:
        manager = CollectorManager()
        manager.add_collector(collector(exchange))
        manager.add_collector(collector(other, "ETH-USDT"))
        other.post("/faults/refuse", {"seconds": 60, "status": 503})
        async with manager:
            assert manager.get_status()["failed_collectors"] == ["okx_eth_usdt"]
            other.clear_faults()
            await comes(lambda: manager.get_status()["running_collectors"] == 2)
            assert manager.get_status()["restarts"]["okx_eth_usdt"] >= 1


async def test_a_crashed_collector_reports_the_error_and_restarts(exchange: Simulator) -> None:
    manager, made, points = CollectorManager(), collector(exchange), list[DataPoint]()
    made.add_data_callback(DataType.TRADE, points.append)
    manager.add_collector(made)
    async with manager:
        assert made._run is not None
        made._run.collector.ledger.age = None  # type: ignore[assignment, method-assign]
        await comes(lambda: made.state == "failed")
        assert made.get_health_status()["issues"] == ["failed: TypeError: 'NoneType' object is not callable"]
        await comes(lambda: made.state == "running")
        assert manager.get_status()["restarts"] == {"okx_btc_usdt": 1}
        count = len(points)
        await comes(lambda: len(points) > count)


async def test_a_collector_that_somebody_stops_stays_stopped(exchange: Simulator) -> None:
    manager = CollectorManager()
    made = collector(exchange)
    manager.add_collector(made)
    async with manager:
        await made.stop()
        await asyncio.sleep(1.2)
        assert made.state == "stopped"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["start", "stop", "add", "remove"]), min_size=2, max_size=7))
def test_at_once_and_in_any_order_nothing_is_left(exchange: Simulator, steps: list[str]) -> None:
    async def story() -> None:
        manager, made = CollectorManager(), [collector(exchange) for _ in steps]
        manager.add_collector(collector(exchange))
        tasks = list[asyncio.Task[None]]()
        for step, one in zip(steps, made, strict=True):
            tasks.append(asyncio.create_task(take(manager, step, one)))
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)
            await manager.stop()
        assert {each["state"] for each in manager.get_status()["collectors"].values()} <= {"stopped"}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(story())


async def take(manager: CollectorManager, step: str, one: ExchangeCollector) -> None:
    """One step; a start may end with the stop that came between."""
    match step:
        case "start":
            with suppress(ConnectionFailedError):
                await manager.start()
        case "stop":
            await manager.stop()
        case "add":
            manager.add_collector(one)
        case "remove":
            for name in list(manager.get_status()["collectors"])[:1]:
                manager.remove_collector(name)


async def test_a_callback_may_stop_the_manager(exchange: Simulator) -> None:
    manager = CollectorManager()
    made, started, done = collector(exchange), asyncio.Event(), asyncio.Event()

    async def on_trade(point: DataPoint) -> None:
        await started.wait()
        if not done.is_set():
            await manager.stop()
            done.set()

    made.add_data_callback(DataType.TRADE, on_trade)
    manager.add_collector(made)
    await manager.start()
    started.set()
    await asyncio.wait_for(done.wait(), 20)
    await made.wait_until_stopped()


async def test_a_restart_in_a_callback_says_how_to_do_it(exchange: Simulator) -> None:
    manager, errors = CollectorManager(), list[str]()
    made = collector(exchange)

    async def on_trade(point: DataPoint) -> None:
        await manager.stop()
        with pytest.raises(ConnectionFailedError) as raised:
            await manager.start()
        errors.append(str(raised.value))

    await manager.start()
    manager.add_collector(made)
    await comes(lambda: made.state == "running")
    made.add_data_callback(DataType.TRADE, on_trade)
    await comes(lambda: errors)
    assert "asyncio.create_task(collector.start())" in errors[0]
    await made.wait_until_stopped()


@pytest.mark.parametrize("given", ["okx", None, CollectorManager])
def test_only_a_collector_can_be_added(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be an ExchangeCollector, not .*create_collector\(config\)"):
        CollectorManager().add_collector(given)


def test_collectors_instead_of_a_name_are_explained() -> None:
    with pytest.raises(ConfigurationError, match=r"name: must be a string, not a list\. Add collectors with add_coll"):
        CollectorManager([])  # type: ignore[arg-type]


async def test_a_callback_may_stop_the_manager_that_is_still_starting_others(exchange: Simulator) -> None:
    manager = CollectorManager()
    made = collector(exchange)

    async def on_trade(point: DataPoint) -> None:
        await manager.stop()

    made.add_data_callback(DataType.TRADE, on_trade)
    manager.add_collector(made)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        manager.add_collector(collector(replace(exchange, websocket=f"ws://127.0.0.1:{silent.getsockname()[1]}")))
        with pytest.raises(ConnectionFailedError, match="stopped before all collectors were started"):
            await manager.start()
    assert made.state == "stopped"
