"""Sinks, one module per kind, and the fan-out that feeds them."""
