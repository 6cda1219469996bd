"""Makes health, readiness and the status document from the state of the components. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from market_collector.exchanges.interface import Closing
from market_collector.feed.checkpoint_state import LinePosition, Positions, StreamPosition, position
from market_collector.feed.clock_skew import Timekeeper
from market_collector.feed.gaps import KnownGap
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import StreamProgress, UnnumberedProgress
from market_collector.model.moment import Moment
from market_collector.model.report import SinkStatus
from market_collector.model.schema_0 import StoredGap
from market_collector.model.streams import GapState, StreamState
from market_collector.net.link import Link
from market_collector.net.poller import Poller
from market_collector.net.supervisor import Supervisor
from market_collector.telemetry.status import (
    ClockStatus,
    ConnectionStatus,
    Counters,
    GapStatus,
    Health,
    LastReconnect,
    PolledStatus,
    Status,
    StreamStatus,
    UnnumberedStatus,
    UnreadableFrame,
    rfc3339,
)

GAPS_SHOWN = 100
"""Gaps in the document, the newest; the counters count all."""
SERVED = (StreamState.LIVE, StreamState.QUIET)
UNCLEAR = (*SERVED, StreamState.UNKNOWN)
"""States that do not prove that no data flows."""


class Identity(msgspec.Struct, frozen=True):
    """Identity of a collector and its run."""

    name: str
    namespace: str
    shard: int
    version: str
    epoch: str
    started_ns: int


class Output(msgspec.Struct, frozen=True):
    """Output of records: sinks and their counters."""

    sinks: Sequence[SinkStatus]
    records: int
    """Records emitted, in total."""
    acknowledged: Mapping[str, Positions] = msgspec.field(default_factory=dict)
    """By sink."""
    positions: Mapping[str, StreamPosition | None] = msgspec.field(default_factory=dict)
    """By stream, acknowledged by every sink."""
    checkpoint_error: str = ""


def readiness(ledger: Ledger, sinks: Sequence[SinkStatus]) -> tuple[bool, str]:
    """Whether this collector can take over from another one: every stream delivers data and every sink writes.

    Refused streams do not count, since they would never deliver data, unless all are refused.
    """
    pages = [page for page in ledger.streams.values() if page.state is not StreamState.REFUSED]
    waiting = [page for page in pages if page.state not in SERVED]
    failing = [sink for sink in sinks if not sink.healthy]
    if not pages:
        return False, "the exchange refuses every stream: " + _names(list(ledger.streams.values()))
    if waiting:
        return False, "not streaming: " + _names(waiting)
    if failing:
        return False, "not writing: " + ", ".join(f"{sink.name} ({sink.error})" for sink in failing)
    return True, f"{len(pages)} streams"


def health(
    ledger: Ledger, links: Sequence[Link], sinks: Sequence[SinkStatus], checkpoint_error: str = ""
) -> tuple[Health, str]:
    """One word, and why it is not Healthy."""
    if stopped := [link for link in links if link.has_given_up]:
        return Health.UNHEALTHY, "; ".join(f"{link.name} connection {link.reason}" for link in stopped)
    pages = ledger.streams.values()
    troubled = [page for page in pages if page.state not in SERVED]
    failing = [sink.name for sink in sinks if not sink.healthy]
    reasons = [*_refusals(links)]
    if all(page.state not in UNCLEAR for page in pages):
        return Health.UNHEALTHY, "; ".join([*reasons, "no stream has data: " + _names(troubled)])
    if troubled:
        reasons.append("without data: " + _names(troubled))
    if failing:
        reasons.append("sinks that cannot write: " + ", ".join(failing))
    if open_gaps := len(ledger.gaps.all_open()):
        reasons.append(f"{open_gaps} open gaps")
    if checkpoint_error:
        reasons.append(checkpoint_error)
    return (Health.DEGRADED, "; ".join(reasons)) if reasons else (Health.HEALTHY, "")


def _refusals(links: Sequence[Link]) -> Iterator[str]:
    """Yield the exchange's words if it refuses connections because of our region."""
    refused = [link for link in links if link.problem]
    if refused:
        others = f", like {len(refused) - 1} more" if len(refused) > 1 else ""
        yield f"{refused[0].name} connection{others}: {refused[0].reason}"


def _names(pages: Sequence[StreamProgress]) -> str:
    shown = ", ".join(f"{page.stream} ({page.reason or page.state})" for page in pages[:5])
    return shown if len(pages) <= 5 else f"{shown} and {len(pages) - 5} more"


def status(
    identity: Identity,
    ledger: Ledger,
    supervisor: Supervisor,
    output: Output,
    now: Moment,
    streams: Iterable[StreamStatus] | None = None,
) -> Status:
    """The document of ``GET /status`` at this moment; ``streams`` if they were made before (`stream_statuses`)."""
    word, reason = health(ledger, supervisor.links, output.sinks, output.checkpoint_error)
    newest_ns = max((page.last_wall_ns for page in ledger.streams.values()), default=0)
    return Status(
        name=identity.name,
        namespace=identity.namespace,
        shard=identity.shard,
        version=identity.version,
        epoch=identity.epoch,
        started_at=rfc3339(identity.started_ns),
        time=rfc3339(now.wall_ns),
        health=word,
        reason=reason,
        counters=_counters(ledger, supervisor, output),
        connections=(*map(_connection, supervisor.links), *map(_polled, supervisor.pollers)),
        clock=_clock(supervisor.timekeeper),
        last_reconnect=_last_reconnect(supervisor),
        last_unreadable=_last_unreadable(ledger),
        last_message_time=rfc3339(newest_ns) if newest_ns else None,
        streams=tuple(stream_statuses(ledger, output.acknowledged) if streams is None else streams),
        gaps=_gaps(list(ledger.gaps.known.values())),
        sinks=tuple(output.sinks),
        checkpoint_error=output.checkpoint_error,
        positions=output.positions,
    )


def stream_statuses(ledger: Ledger, acknowledged: Mapping[str, Positions]) -> Iterator[StreamStatus]:
    """Yield each stream's part of the document; ``acknowledged`` by sink. Apart, as it takes 10 us for each stream."""
    return (_stream(page, acknowledged) for page in ledger.streams.values())


def _counters(ledger: Ledger, supervisor: Supervisor, output: Output) -> Counters:
    return Counters(
        messages=ledger.messages,
        records=output.records,
        reconnections=supervisor.reconnections,
        resyncs=ledger.resyncs,
        dropped_records=sum(sink.dropped for sink in output.sinks),
        gaps_detected=ledger.gaps.detected,
        gaps_repaired=ledger.gaps.repaired,
        gaps_lost=ledger.gaps.lost,
        missing_trades=ledger.gaps.missing_trades,
        recovered_trades=ledger.gaps.recovered_trades,
        lost_trades=ledger.gaps.lost_trades,
        skipped_updates=ledger.skipped_updates,
        duplicates=ledger.duplicates,
        unreadable_frames=ledger.unreadable_frames,
        internal_errors=ledger.complaints.internal_errors,
        slow_reader_closes=supervisor.closes(Closing.SLOW_READER),
        too_many_requests_closes=supervisor.closes(Closing.TOO_MANY),
    )


def _connection(link: Link) -> ConnectionStatus:
    return ConnectionStatus(
        name=link.name,
        state=link.state,
        since=rfc3339(link.since_ns),
        reason=link.reason,
        problem=link.problem,
        pings_sent=link.pings_sent,
        pongs_received=link.pongs_received,
    )


def _polled(poller: Poller) -> PolledStatus:
    return PolledStatus(
        name=poller.name,
        state=poller.state,
        since=rfc3339(poller.since_ns),
        reason=poller.reason,
        problem=poller.problem,
    )


def _clock(timekeeper: Timekeeper) -> ClockStatus:
    skew, checked_ns = timekeeper.skew, timekeeper.checked_ns
    return ClockStatus(
        skew_ms=round(skew.seconds * 1000, 1) if skew else None,
        uncertainty_ms=round(skew.uncertainty_s * 1000, 1) if skew else None,
        steps=timekeeper.steps,
        checked_at=rfc3339(checked_ns) if checked_ns else None,
    )


def _last_reconnect(supervisor: Supervisor) -> LastReconnect | None:
    last = supervisor.last_reconnect
    return LastReconnect(time=rfc3339(last.time_ns), reason=last.reason) if last else None


def _last_unreadable(ledger: Ledger) -> UnreadableFrame | None:
    last = ledger.last_unreadable
    return UnreadableFrame(time=rfc3339(last.time_ns), reason=last.reason, frame=last.excerpt) if last else None


def _stream(page: StreamProgress, acknowledged: Mapping[str, Positions]) -> StreamStatus:
    name = str(page.stream)
    by_sink = {sink: positions.streams.get(name) for sink, positions in acknowledged.items()}
    kind, proof = (UnnumberedStatus, _proof(page)) if isinstance(page, UnnumberedProgress) else (StreamStatus, {})
    return kind(
        **proof,
        stream=name,
        state=page.state,
        last_message_time=rfc3339(page.last_wall_ns) if page.last_wall_ns else None,
        since=rfc3339(page.since_ns),
        reason=page.reason,
        message=page.message,
        delivered=_place(page, position(page)),
        acknowledged={sink: place for sink, at in by_sink.items() if (place := _place(page, at)) is not None},
    )


def _proof(page: UnnumberedProgress) -> dict[str, Any]:
    return {
        "proved_until": rfc3339(page.proved_ns) if page.proved_ns else None,
        "agreeing_minutes": page.agreeing_minutes if page.is_audited else None,
        "differing_minutes": page.differing_minutes if page.is_audited else None,
    }


def _place(page: StreamProgress, at: LinePosition | None) -> str | None:
    if at is None:
        return None
    if at.ids:
        return at.ids[-1]
    return str(at.head) if at.last is None else page.stream.format_position(at.last)


def _gaps(known: list[KnownGap]) -> tuple[GapStatus, ...]:
    """Open ones first of all; the list is bounded."""
    by_need = sorted(known, key=lambda one: (one.state is GapState.OPEN, one.gap.receive_time_ns))[-GAPS_SHOWN:]
    return tuple(
        GapStatus(
            id=one.gap.gap_id,
            stream=one.gap.stream,
            state=one.state,
            first=stored.first,
            last=stored.last,
            missing=one.gap.missing,
            recovered=one.recovered,
            detected_at=rfc3339(one.gap.receive_time_ns),
            reason=one.gap.reason,
            sink=one.sink,
        )
        for one in by_need
        for stored in [StoredGap.of(one.gap)]
    )
