"""A local exchange that behaves like OKX v5, from recorded frames or from a seeded market."""

__version__ = "0.1.0"
