"""Errors, grouped by who must act.

CollectorError
├── InputError         the user: a bad file, argument or setting (exit code 2)
│   ├── ConfigurationError  the same in the Python API; a ValueError too
│   ├── RecordingError      a recorded file is missing or damaged
│   └── MissingLibraryError an optional library is not installed; an ImportError too
├── WrongLoopError     the user: a collector is used outside its event loop; a RuntimeError too
├── CredentialsMissingError  the user: a required API key is missing; the collector retries until it is there
├── StreamRefusedError      the user, mostly: the exchange does not serve a requested stream
├── ConnectionFailedError   a retry: a connection could not be opened, or was closed
├── RequestFailedError      a retry: a REST request was not answered, or answered with an error
├── SinkError          a retry: a sink could not write; the message says what to do
│   └── SinkGoneError  the user: no retry can help, such as a pipe without a reader
└── FrameError         nobody: one frame could not be read; it is counted and shown in /status
    └── InstrumentRefusedError  the user: the exchange's answer refuses the instrument
"""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from market_collector.exchanges.interface import RestProblem
    from market_collector.model.streams import Stream


UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""Errors that decoding malformed bytes may raise; RecursionError for deeply nested brackets."""


class CollectorError(Exception):
    """Base of all errors that this package raises on purpose."""


class InputError(CollectorError):
    """The user must act. The message names the place and the allowed values."""


class ConfigurationError(InputError, ValueError):
    """A collector's configuration is invalid. The message lists every problem, one per line."""


class RecordingError(InputError):
    """A recorded file is missing, or a line of it cannot be read. The message names file and line."""


class MissingLibraryError(InputError, ImportError):
    """An optional library is not installed. The message says how to install it."""


class WrongLoopError(CollectorError, RuntimeError):
    """A collector or manager is used outside the event loop of its ``start()``."""


class CredentialsMissingError(CollectorError):
    """A part of the API key is missing, or is malformed. The message names the part or the directory."""


class StreamRefusedError(CollectorError):
    """The exchange refuses a stream, for example because it does not know the symbol."""

    def __init__(self, exchange: str, stream: str, reason: str, message: str) -> None:
        self.exchange, self.stream = exchange, stream
        self.reason = reason
        """One word: ``SymbolNotFound``, ``ChannelNotOffered``, ..."""
        super().__init__(f"{exchange} refuses {stream}: {reason}: {message}")


class ConnectionFailedError(CollectorError):
    """A WebSocket connection could not be opened, or ended; the message is the reason."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        body: bytes = b"",
        problem: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, when the exchange refused the handshake."""
        self.retry_after_s = retry_after_s
        """Delay in seconds that the exchange requests; None if it requests none."""
        self.body = body
        """The first part of the body that came with a refusal."""
        self.problem = problem
        """``RegionRestricted`` if the exchange excludes the region of this address; empty otherwise."""


class RequestFailedError(CollectorError):
    """A REST request failed: no answer, an HTTP status or an exchange's error code."""

    def __init__(self, message: str, problem: "RestProblem | None" = None, body: bytes = b"") -> None:
        super().__init__(message)
        self.problem = problem
        """What the exchange's error means; None if there was no answer."""
        self.body = body
        """The first part of the body that came with an error."""


class SinkError(CollectorError):
    """A sink could not write. The records stay queued and the write is tried again."""


class SinkGoneError(SinkError):
    """A sink can never write again. If it is the only one, the collector ends."""


class FrameError(CollectorError):
    """A frame violates the protocol."""

    def __init__(self, message: str, stream: "Stream | None" = None) -> None:
        super().__init__(message)
        self.stream = stream
        """The stream whose data the frame has; None if that is unknown."""


class InstrumentRefusedError(FrameError):
    """A REST answer refuses the instrument; the message has the exchange's code and words."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """One word for conditions, for example ``SymbolNotFound``."""
