"""Collects market data from exchanges over WebSocket; whatever is missing is found, counted and said."""

__version__ = "0.1.0"
