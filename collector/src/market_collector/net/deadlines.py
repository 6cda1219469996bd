"""Time limits for the phases of a connection."""

import msgspec


class Deadlines(msgspec.Struct, frozen=True):
    """Deadlines in seconds. Later silence is detected by the ping (``connection.pingInterval``)."""

    open_s: float = 5.0
    """Name resolution, TCP, TLS and WebSocket handshake together; slow ones take about 2 s."""
    subscribe_s: float = 10.0
    """From a subscribe request to its answer; for a book to its snapshot."""
    drain_s: float = 60.0
    """From a successor's opening to the end of the connection it replaces, if it does not deliver every stream
    earlier. OKX closes a connection about 60 s after its notice."""
    close_s: float = 2.0
    """From our close frame to the server's; then the connection is aborted."""


DEADLINES = Deadlines()
"""Deadlines of a collector; tests use shorter ones."""
