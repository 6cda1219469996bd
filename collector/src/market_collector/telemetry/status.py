"""The document of ``GET /status`` (contract 1), and the termination message made from it.

docs/contracts.md fixes names and meaning of the fields; the operator reads them. Times are RFC 3339 strings in UTC with
milliseconds (`rfc3339`). Nothing here reads a clock or a socket.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

import msgspec

from market_collector.feed.checkpoint_state import StreamPosition
from market_collector.model.report import Part, SinkStatus
from market_collector.model.streams import ConnectionState, GapState, StreamState

CONTRACT = 1
TERMINATION_BYTES = 4000
"""Longest termination message; the kubelet cuts it after 4,096 bytes."""
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
    """Totals since the process started. They only grow, and start at 0 with each ``epoch``."""

    messages: int = 0
    """Frames received."""
    records: int = 0
    """Records made from frames."""
    reconnections: int = 0
    resyncs: int = 0
    """Books that were discarded and requested again."""
    dropped_records: int = 0
    """Records that a sink did not accept, summed over the sinks."""
    gaps_detected: int = 0
    gaps_repaired: int = 0
    gaps_lost: int = 0
    missing_trades: int = 0
    """Trades in all gaps that were found: recovered, lost or still open."""
    recovered_trades: int = 0
    lost_trades: int = 0
    skipped_updates: int = 0
    """Book updates that were not published, because the book was out of sync."""
    duplicates: int = 0
    """Trades, balances and book updates that came more than once and were written once."""
    unreadable_frames: int = 0
    """Frames that could not be read; `Status.last_unreadable` shows the newest."""
    internal_errors: int = 0
    """Errors of the collector about one frame, answer or backfill; the log has them."""
    slow_reader_closes: int = 0
    """Connections that the exchange closed because we read too slowly."""
    too_many_requests_closes: int = 0
    """Connections that the exchange closed because we sent too many requests."""


class ConnectionStatus(Part, frozen=True, kw_only=True):
    """One connection to the exchange."""

    name: str
    state: ConnectionState
    since: str
    reason: str = ""
    """The reason that it is not connected."""
    problem: str = ""
    """``RegionRestricted`` if the exchange refuses it because of the country or region of this address."""
    pings_sent: int = 0
    pongs_received: int = 0


class PolledStatus(ConnectionStatus, frozen=True, kw_only=True):
    """Streams that are requested over REST."""

    kind: str = "poll"


class LastReconnect(Part, frozen=True, kw_only=True):
    """Time of the last reconnect, and the reason that the connection before it had ended."""

    time: str
    reason: str


class ClockStatus(Part, frozen=True, kw_only=True):
    """This machine's wall clock compared with the exchange's; null before the first comparison."""

    skew_ms: float | None = None
    """Exchange's time minus ours. Above 0, our clock is behind."""
    uncertainty_ms: float | None = None
    """Largest error of the skew in either direction."""
    steps: int = 0
    """Number of times that the wall clock was set since the process started."""
    checked_at: str | None = None


class UnreadableFrame(Part, frozen=True, kw_only=True):
    """A frame that could not be read."""

    time: str
    reason: str
    frame: str
    """The first part of the frame."""


class StreamStatus(Part, frozen=True, kw_only=True):
    """Present state of one stream."""

    stream: str
    """`model.streams.Stream` as a string."""
    state: StreamState
    last_message_time: str | None = None
    since: str | None = None
    """Start time of this state."""
    reason: str = ""
    """One word, for conditions: ``SymbolNotFound``, ``NoData``, ..."""
    message: str = ""
    """The reason as a sentence, if one word is not enough."""
    delivered: str | None = None
    """Last trade id, book sequence or open time of a closed candle (milliseconds) that was passed to the sinks."""
    acknowledged: dict[str, str] = msgspec.field(default_factory=dict)
    """By sink: the last acknowledged id, as of the last second."""


class UnnumberedStatus(StreamStatus, frozen=True, kw_only=True):
    """Trades without dense ids. Nothing proves that a connection brings all trades."""

    trade_ids: str = "unnumbered"
    proved_until: str | None = None
    """Exchange time until which each interruption is proved whole or reported; null before the first trade."""
    agreeing_minutes: int | None = None
    """Minutes whose trades sum up to the volume of their candle; null without ``spec.auditVolumes``."""
    differing_minutes: int | None = None


class GapStatus(Part, frozen=True, kw_only=True):
    """One gap in a stream."""

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
    """The only sink that lacks the data; null if all sinks lack it."""


class Status(Part, frozen=True, kw_only=True):
    """The complete document."""

    contract: int = CONTRACT
    name: str
    namespace: str
    shard: int
    version: str
    epoch: str
    """``pod uid/container start``: identifies the run that the counters belong to."""
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
    checkpoint_error: str = ""
    """Why the checkpoint could not be read at the start, or cannot be written now."""
    positions: Mapping[str, StreamPosition | None] = {}
    """By stream: where it ended, as far as every sink has acknowledged it, null before. The next pod continues there.

    Streams without ids or sequences are left out."""


def rfc3339(time_ns: int) -> str:
    """Format nanoseconds since 1970 as ``2026-11-22T10:00:00.000Z``, truncated to milliseconds."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{_date_and_time(seconds)}.{rest_ns // 1_000_000:03d}Z"


@lru_cache(maxsize=1024)
def _date_and_time(seconds: int) -> str:
    """Format seconds since 1970. Cached, as many streams had their last message or change in the same second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def unix_seconds(time: str) -> float:
    """Parse a time made by `rfc3339` into seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def encode(document: Status) -> bytes:
    """The body of ``GET /status``."""
    return msgspec.json.encode(document)


def termination_message(document: Status, unsettled: Collection[str] = ()) -> bytes:
    """The parts of the document that the operator reads after the process has ended, as JSON of less than 4 kB.

    These are contract, epoch, shard, health, a reason of one line, the counters, and the known positions if they fit.
    A document without positions says nothing about them. One with nothing but null says that there is no data, except
    of ``unsettled`` streams, whose null is kept.
    """
    reason = " ".join(document.reason.split()).encode()[:REASON_BYTES].decode(errors="ignore")
    kept = {"contract": document.contract, "epoch": document.epoch, "shard": document.shard, "health": document.health}
    short = {**kept, "reason": reason, "counters": document.counters}
    known = {name: position for name, position in document.positions.items() if position or name in unsettled}
    message = msgspec.json.encode({**short, "positions": known} if document.positions else short)
    return message if len(message) <= TERMINATION_BYTES else msgspec.json.encode(short)
