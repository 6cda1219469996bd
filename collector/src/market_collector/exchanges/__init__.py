"""The exchanges that this collector speaks with. One more is a file or two beside okx.py and one line here."""

from market_collector.exchanges.interface import Exchange
from market_collector.exchanges.okx.exchange import Okx

EXCHANGES: dict[str, Exchange] = {exchange.name: exchange for exchange in (Okx(),)}
