"""Binance's USD-M perpetual under faults, beside the spot instrument with the same native name."""

from collections.abc import Iterator
from dataclasses import replace as altered
from pathlib import Path
from typing import Any

import pytest

import evidence
from collector_program import verified
from exchange_words import BINANCE, BINANCE_PERPETUAL
from faulty_recording import recorded_under
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120), pytest.mark.xdist_group("perpetual")]
SPOT, PERPETUAL = "BTC-USDT", "BTC-USDT-PERP"
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("lose", {"channel": "trade", "count": 30}),
    ("lose", {"channel": "orderbook", "count": 1}),
    ("drop", {}),
    ("reorder", {"channel": "orderbook", "count": 3}),
    ("duplicate", {"channel": "orderbook", "count": 3}),
    ("silence", {"channel": "trade", "seconds": 3}),
    ("notice", {"seconds": 1}),
    ("reset", {}),
    ("lose", {"channel": "candle", "seconds": 2.5}),
    ("corrupt", {"channel": "orderbook", "damage": "json", "count": 4}),
    ("truncate", {"channel": "trade", "cut": "text", "count": 4}),
    ("rest", {"path": "fapi/aggTrades", "status": 500, "count": 2}),
    ("lose", {"channel": "trade", "count": 30}),
]


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    market = ("--market", "31", "--symbols", f"{SPOT},{PERPETUAL}", "--rate", "100", "--start", "now")
    with simulator(*market, exchange="binance") as running:
        yield altered(running, words=BINANCE_PERPETUAL)


@pytest.fixture(scope="module")
def records(exchange: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The records of a collector after all faults, which `verify` finds complete."""
    directory: Path = tmp_path_factory.mktemp("perpetual") / "data"
    found, counters = recorded_under(FAULTS, exchange, (SPOT, PERPETUAL), directory)
    assert all(counters[name] for name in ("gapsRepaired", "resyncs", "reconnections", "unreadableFrames")), counters
    evidence.check_verdict(verified(directory))
    return found


@pytest.mark.parametrize(("symbol", "words"), [(SPOT, BINANCE), (PERPETUAL, BINANCE_PERPETUAL)])
def test_instrument_is_complete_after_faults(symbol: str, words: Any, exchange: Simulator, records: list[Any]) -> None:
    mine = [record for record in records if record["symbol"] == symbol]
    evidence.check(mine, Truth(altered(exchange, words=words), symbol), interval="1m")
