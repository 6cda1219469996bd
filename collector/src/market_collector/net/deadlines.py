"""How long each phase of a connection may take."""

import msgspec


class Deadlines(msgspec.Struct, frozen=True):
    """In seconds. What is silent after all of these is found by the ping (``connection.pingInterval``)."""

    open_s: float = 5.0
    """Name, TCP, TLS and WebSocket handshake together; the slowest honest ones take about 2."""
    subscribe_s: float = 10.0
    """From a request to its answer; for a book to its snapshot."""
    drain_s: float = 60.0
    """A connection that is being replaced streams on for this long after its successor opened, if that one does not
    serve every stream earlier. OKX closes about 60 s after its notice."""
    close_s: float = 2.0
    """From our close frame to the server's; then the connection is cut."""


DEADLINES = Deadlines()
"""Those of a collector; tests have shorter ones."""
