"""The document of ``GET /status`` (contract 1), and the termination message made from it.

docs/contracts.md fixes names and meaning of the fields; the operator reads them. Times are RFC 3339 strings in UTC with
milliseconds (`rfc3339`). Nothing here reads a clock or a socket.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from market_collector.model.report import Part, SinkStatus
from market_collector.model.streams import ConnectionState, GapState, StreamState

CONTRACT = 1
REASON_BYTES = 160
"""Length of the reason in a termination message."""


class Health(StrEnum):
    """One word for people."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    """Some data is missing or late."""
    UNHEALTHY = "Unhealthy"
    """No data flows."""


class Counters(Part, frozen=True, kw_only=True):
    """Totals since the process began: they only grow, and begin at 0 with each ``epoch``."""

    messages: int = 0
    """Frames received."""
    records: int = 0
    """Records made of them."""
    reconnections: int = 0
    resyncs: int = 0
    """Books that were thrown away and begun again."""
    dropped_records: int = 0
    """Records that a sink did not take, summed over the sinks."""
    gaps_detected: int = 0
    gaps_repaired: int = 0
    gaps_lost: int = 0
    missing_trades: int = 0
    """Trades in all gaps that were found; then they are recovered, or lost, or still open."""
    recovered_trades: int = 0
    lost_trades: int = 0
    skipped_updates: int = 0
    """Book updates between a doubt and the snapshot that ended it: not published."""
    duplicates: int = 0
    """Trades that came more than once and were written once."""
    unreadable_frames: int = 0
    """Frames that could not be read; `Status.last_unreadable` shows the newest."""
    slow_reader_closes: int = 0
    """Connections that the exchange closed because we read too slowly."""


class ConnectionStatus(Part, frozen=True, kw_only=True):
    """One connection to the exchange."""

    name: str
    state: ConnectionState
    since: str
    reason: str = ""
    """Why it is not connected."""
    pings_sent: int = 0
    pongs_received: int = 0


class LastReconnect(Part, frozen=True, kw_only=True):
    """When a connection was last made again, and why the one before had ended."""

    time: str
    reason: str


class ClockStatus(Part, frozen=True, kw_only=True):
    """This machine's wall clock against the exchange's; null until it was compared."""

    skew_ms: float | None = None
    """Exchange's time minus ours: above 0 our clock is behind."""
    uncertainty_ms: float | None = None
    """The skew is right within this, either way."""
    steps: int = 0
    """How often the wall clock was set since the process began."""
    checked_at: str | None = None


class UnreadableFrame(Part, frozen=True, kw_only=True):
    """A frame that could not be read."""

    time: str
    reason: str
    frame: str
    """Its beginning."""


class StreamStatus(Part, frozen=True, kw_only=True):
    """One stream (`model.streams.Stream` as text) and what is known of it now."""

    stream: str
    state: StreamState
    last_message_time: str | None = None
    since: str | None = None
    """When this state began."""
    reason: str = ""
    """One word, for conditions: ``SymbolNotFound``, ``NoData``, ..."""
    message: str = ""
    """The same in a sentence, where one word is not enough."""
    delivered: str | None = None
    """The last trade id, book sequence or closed candle's open time (milliseconds) that was handed to the sinks."""
    acknowledged: dict[str, str] = msgspec.field(default_factory=dict)
    """By sink: up to where it has acknowledged, as of the last second."""


class GapStatus(Part, frozen=True, kw_only=True):
    """One hole in a stream."""

    id: str
    stream: str
    state: GapState
    first: str | None = msgspec.field(name="from", default=None)
    """First missing id or sequence."""
    last: str | None = msgspec.field(name="to", default=None)
    """Last missing id or sequence."""
    missing: int | None = None
    recovered: int = 0
    detected_at: str
    reason: str = ""
    sink: str | None = None
    """The only sink that misses it; null: nobody has it."""


class Status(Part, frozen=True, kw_only=True):
    """The whole document."""

    contract: int = CONTRACT
    name: str
    namespace: str
    shard: int
    version: str
    epoch: str
    """``pod uid/container start``: names the run that the counters belong to."""
    started_at: str
    time: str
    health: Health
    reason: str = ""
    counters: Counters = Counters()
    connections: tuple[ConnectionStatus, ...] = ()
    clock: ClockStatus = ClockStatus()
    last_reconnect: LastReconnect | None = None
    last_unreadable: UnreadableFrame | None = None
    last_message_time: str | None = None
    streams: tuple[StreamStatus, ...] = ()
    gaps: tuple[GapStatus, ...] = ()
    sinks: tuple[SinkStatus, ...] = ()


def rfc3339(time_ns: int) -> str:
    """``2026-11-22T10:00:00.000Z`` of nanoseconds since 1970, cut (not rounded) to milliseconds."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"


def unix_seconds(time: str) -> float:
    """Seconds since 1970 of a time that `rfc3339` made."""
    return datetime.fromisoformat(time).timestamp()


def encode(document: Status) -> bytes:
    """The body of ``GET /status``."""
    return msgspec.json.encode(document)


def termination_message(document: Status) -> bytes:
    """The parts of the document that the operator reads after the end: JSON of less than 1 kB.

    It keeps contract, epoch, shard, health, a reason of one line, and the counters.
    """
    printable = "".join(each if each.isprintable() else " " for each in document.reason)
    reason = " ".join(printable.split()).encode(errors="replace")[:REASON_BYTES].decode(errors="ignore")
    kept = {"contract": document.contract, "epoch": document.epoch, "shard": document.shard, "health": document.health}
    return msgspec.json.encode({**kept, "reason": reason, "counters": document.counters})
