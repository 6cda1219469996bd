"""Time limits for the phases of a connection."""

import msgspec


class Deadlines(msgspec.Struct, frozen=True):
    """Deadlines in seconds. Later silence is detected by the ping (``connection.pingInterval``)."""

    open_s: float = 5.0
    """TCP, TLS and WebSocket handshake of one address together; slow ones take about 2 s. Also for the name."""
    subscribe_s: float = 10.0
    """From a subscribe request to its answer; for a book to its snapshot."""
    drain_s: float = 60.0
    """From a successor's opening to the end of the connection it replaces, if it does not deliver every stream
    earlier. OKX closes a connection about 60 s after its notice."""
    steady_s: float = 5.0
    """How long a connection must live, and bring data, before the delays between attempts start over."""
    close_s: float = 2.0
    """From our close frame to the server's; then the connection is aborted."""


DEADLINES = Deadlines()
"""Deadlines of a collector; tests use shorter ones."""
