"""An exchange on this machine: what a client of OKX v5 sees, from recorded frames or from a seeded market."""

__version__ = "0.1.0"
