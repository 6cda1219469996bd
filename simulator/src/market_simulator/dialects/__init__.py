"""The dialects by the names of `--exchange`."""

from collections.abc import Mapping
from typing import Final

from market_simulator.dialects.binance.dialect import Binance
from market_simulator.dialects.bybit.dialect import Bybit
from market_simulator.dialects.okx.dialect import Okx
from market_simulator.engine.dialect import Dialect

DIALECTS: Final[Mapping[str, Dialect]] = {"okx": Okx(), "binance": Binance(), "bybit": Bybit()}
