"""A local exchange, from recorded frames or from a seeded market, in the dialect of a real one."""

__version__ = "0.1.0"
