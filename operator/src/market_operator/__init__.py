"""market-operator: turns MarketCollector resources into collector pods, and reports their state."""

__version__ = "0.1.0"
