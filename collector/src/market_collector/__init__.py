"""Collects market data from exchanges over WebSocket; whatever is missing is found, counted and said."""

from importlib.metadata import version

__version__ = version("market-collector")
