"""The notebook-style example and the programs in docs/library.md run against the simulator."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from market_collector import ExchangeOptions
from simulator_process import MARKET, simulator
from unmeasured import NOT_MEASURED

pytestmark = pytest.mark.simulator
REPOSITORY = Path(__file__).parents[2]
LIBRARY_PAGE = REPOSITORY / "docs" / "library.md"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Runs a program in a folder whose ``config/okx_config.json`` names a simulator. Returns its output."""

    def run(file: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(file)],
            cwd=tmp_path,
            env={**os.environ, **NOT_MEASURED, "LOG_LEVEL": "DEBUG"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with simulator(*MARKET) as exchange:
        (tmp_path / "config").mkdir()
        addresses = {"websocket_endpoint": exchange.websocket, "rest_endpoint": exchange.rest}
        (tmp_path / "config" / "okx_config.json").write_text(json.dumps(addresses))
        yield run


def test_the_example_runs_and_prints_its_records(run: Callable[[Path], str], tmp_path: Path) -> None:
    said = run(REPOSITORY / "examples" / "python_api.py")
    assert "okx offers trade, orderbook, ticker, candle" in said
    assert "BTC-USDT best bid" in said
    assert re.search(r"okx is connected: \d{2,} messages", said)
    assert "health: Healthy" in said
    assert "2 pairs, for example BTC-USDT, ETH-USDT" in said
    assert "2 of 2 run" in said
    assert re.search(r"(?:BTC|ETH)-USDT (?:buy|sell) [\d.]+ of [\d.]+ / [\d.]+", said)
    assert re.search(r"traded: .*'ETH-USDT': Decimal\('[\d.]+'\)", said)
    assert {file.name for file in (tmp_path / "logs").iterdir()} == {
        "okx_collector_btc_usdt_debug.log",
        "okx_collector_eth_usdt_debug.log",
        "okx_collector_btc_usdt_and_1_more_debug.log",
    }


def program(number: int, folder: Path) -> Path:
    """One of the programs in docs/library.md, by its number there."""
    file = folder / "library.py"
    file.write_text(re.findall(r"```python\n(.*?)```", LIBRARY_PAGE.read_text(), re.DOTALL)[number])
    return file


def test_program_in_library_page_prints_trades_and_health(run: Callable[[Path], str], tmp_path: Path) -> None:
    said = run(program(0, tmp_path))
    assert len(re.findall(r"\+00:00 BTC-USDT (?:buy|sell) [\d.]+ [\d.]+\n", said)) > 10
    assert "connected {" in said
    assert "{'reconnections': 0, 'pings_sent': 0, 'pongs_received': 0} Healthy" in said


def test_program_with_a_stream_prints_trades_beside_the_book(run: Callable[[Path], str], tmp_path: Path) -> None:
    said = run(program(1, tmp_path)).splitlines()
    assert re.fullmatch(r"\d+ bids \d+ asks", said[0])
    assert len([line for line in said if re.fullmatch(r"BTC-USDT (?:buy|sell) [\d.]+ mid [\d.]+", line)]) == 20


def test_library_page_names_every_option() -> None:
    page = LIBRARY_PAGE.read_text()
    assert [name for name in ExchangeOptions.model_fields if f"`{name}`" not in page] == []
