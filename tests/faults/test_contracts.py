"""Swaps and futures under faults: as complete as spot instruments. OKX's have amounts in contracts."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import evidence
from collector_program import verified
from exchange_words import BYBIT, OKX
from faulty_recording import recorded_under
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120), pytest.mark.xdist_group("contracts")]
LINEAR, INVERSE, FUTURE = "BTC-USDT-PERP", "BTC-USD-PERP-BTC", "BTC-USD-270326-BTC"
NAMES = {
    OKX.name: {LINEAR: "BTC-USDT-SWAP", INVERSE: "BTC-USD-SWAP", FUTURE: "BTC-USD-270326"},
    BYBIT.name: {LINEAR: LINEAR},
}
"""By exchange, the simulator's names by symbol."""
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("lose", {"channel": "trade", "count": 30}),
    ("lose", {"channel": "orderbook", "count": 1}),
    ("lose", {"channel": "candle", "seconds": 2.5}),
    ("drop", {}),
    ("reorder", {"channel": "orderbook", "count": 3}),
    ("silence", {"channel": "trade", "seconds": 3}),
    ("notice", {"seconds": 1}),
]


@pytest.fixture(scope="module", params=NAMES)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    market = ("--market", "29", "--symbols", ",".join(NAMES[request.param]), "--rate", "100", "--start", "now")
    with simulator(*market, exchange=request.param) as running:
        yield running


@pytest.fixture(scope="module")
def records(exchange: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The records of a collector after all faults, which `verify` finds complete."""
    directory: Path = tmp_path_factory.mktemp("contracts") / "data"
    found, counters = recorded_under(FAULTS, exchange, list(NAMES[exchange.words.name]), directory)
    shown = ("resyncs", "reconnections", *["gapsRepaired"] * exchange.words.has_dense_ids)
    assert all(counters[name] for name in shown), counters
    evidence.check_verdict(verified(directory))
    return found


def test_contracts_are_complete_after_faults(exchange: Simulator, records: list[Any]) -> None:
    for symbol, name in NAMES[exchange.words.name].items():
        evidence.check([record for record in records if record["symbol"] == symbol], Truth(exchange, name))


@pytest.mark.parametrize("exchange", [OKX.name], indirect=True)
@pytest.mark.parametrize(
    ("symbol", "size", "unit"), [(LINEAR, "0.01", "base"), (INVERSE, "100", "quote"), (FUTURE, "100", "quote")]
)
def test_size_of_a_contract_turns_volumes_into_the_other_unit(
    symbol: str, size: str, unit: str, records: list[Any]
) -> None:
    mine = [record for record in records if record["symbol"] == symbol]
    instrument = evidence.of_type(mine, "instrument")[0]
    assert (instrument["contract_size"], instrument["contract_unit"]) == (size, unit)
    candles = [candle for candle in evidence.of_type(mine, "candle") if candle["closed"]]
    assert candles
    for candle in candles:
        other = candle["base_volume" if unit == "base" else "quote_volume"]
        assert Decimal(candle["volume"]) * Decimal(size) == Decimal(other), candle
