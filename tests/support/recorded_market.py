"""A recording of a simulated market by two collectors, with faults, for tests that read files."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from collector_program import Program, document, program
from exchange_words import OKX
from simulator_process import MARKET, simulator

TYPES = ["trade", "orderbook", "ticker", "candle"]
LOSE_TRADES = {"channel": "trade", "symbol": "BTC-USDT", "count": 20}
LOSE_BOOK = {"channel": "orderbook", "symbol": "BTC-USDT", "count": 1}


def record_market(folder: Path, *, name: str = OKX.name, records: int = 300, replicas: int = 2) -> Path:
    """Record BTC-USDT of an exchange with its shortest candles until each replica has three times this many records.

    The exchange loses trades and a book update, and cuts all connections. Returns the folder, which has one folder of
    files for each replica.
    """
    data = folder / "records"
    with ExitStack() as stack:
        exchange = stack.enter_context(simulator(*MARKET, exchange=name))
        programs = [stack.enter_context(_collector(folder, data, exchange, number)) for number in range(replicas)]
        _each_receives(programs, records)
        exchange.post("/faults/lose", LOSE_TRADES)
        exchange.post("/faults/lose", LOSE_BOOK)
        _each_receives(programs, records)
        exchange.post("/faults/drop", {})
        _each_receives(programs, records)
        for running in programs:
            running.comes_to_rest(60)
            assert running.stop() == 0
    return data


def _collector(folder: Path, data: Path, exchange: Any, number: int) -> Any:
    place = folder / f"collector-{number}"
    place.mkdir()
    file = {"directory": str(data / f"replica-{number}"), "rotate": {"interval": "2s"}, "compression": "zstd"}
    sinks = [{"name": "archive", "type": "file", "file": file}]
    config = document(exchange, dataTypes=TYPES, candle={"intervals": [exchange.words.interval]}, sinks=sinks)
    return program(place, config)


def _each_receives(programs: list[Program], records: int) -> None:
    for running in programs:
        before = _count(running)
        running.comes(_has_more(running, before + records))


def _has_more(running: Program, count: int) -> Callable[[], bool]:
    return lambda: _count(running) > count


def _count(running: Program) -> int:
    return int(running.status()["counters"]["records"])
