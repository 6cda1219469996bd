"""Errors, split first by who must act.

CollectorError
├── InputError         the user: a bad file, argument or setting (exit code 2)
├── ConnectionFailedError   a retry: a connection could not be made, or ended
├── RequestFailedError      a retry: a REST request was not answered, or answered with an error
├── SinkError          a retry: a sink could not write; the message says what to do
└── FrameError         nobody: one frame could not be read; it is counted and shown, the rest goes on
"""


class CollectorError(Exception):
    """Anything that this package raises on purpose."""


class InputError(CollectorError):
    """The user must act; the message says where and what is allowed."""


class ConnectionFailedError(CollectorError):
    """A WebSocket connection could not be opened, or ended; the message is the reason."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, when the exchange refused the handshake."""
        self.retry_after_s = retry_after_s
        """Seconds that the exchange wants us to wait, when it said so."""


class RequestFailedError(CollectorError):
    """A REST request failed: no answer, an HTTP status or an exchange's error code."""


class SinkError(CollectorError):
    """A sink could not write; nothing is lost yet, it is tried again."""


class FrameError(CollectorError):
    """A frame that is not what the protocol promises."""
