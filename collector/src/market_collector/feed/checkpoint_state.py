"""Checkpoint: the progress of every stream as a document, so that the next process misses nothing."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Annotated, TypeVar

import msgspec

from market_collector.book.continuity import IdRange, IdTracker, in_order
from market_collector.feed.effects import Emit
from market_collector.feed.gaps import KnownGap
from market_collector.feed.ledger import Ledger, Loss
from market_collector.feed.stream_state import (
    IDS_KEPT,
    BookProgress,
    IdProgress,
    StreamProgress,
    UnnumberedProgress,
)
from market_collector.model.events import Gap, Record
from market_collector.model.moment import Moment
from market_collector.model.reasons import EndReason, GapReason
from market_collector.model.schema_0 import StoredGap
from market_collector.model.streams import LATEST_NS, StoredId, StoredTime

IDS_STORED = 8
"""Trade ids of a checkpoint, where they are not dense. It is stored each second and reported to the operator, so it
must be small. A page of recent trades that goes back to the newest ones has them all."""
LONGEST_ID = 64
IdPair = tuple[StoredId, StoredId]
"""First and last of consecutive ids."""
T = TypeVar("T")
_is_id = re.compile("-?[0-9]{1,30}").fullmatch


class LinePosition(msgspec.Struct, frozen=True, omit_defaults=True):
    """Progress of a stream with consecutive ids, of a book (``head``), or of trades without dense ids (``ids``)."""

    last: StoredId | None = None
    """The highest id."""
    time_ns: StoredTime = 0
    """The latest exchange time, nanoseconds since 1970; 0 if unknown."""
    missing: tuple[IdPair, ...] = msgspec.field(default=(), name="holes")
    """Missing ids below ``last``."""
    head: StoredId | None = None
    """Books: the sequence published last."""
    ids: tuple[Annotated[str, msgspec.Meta(max_length=LONGEST_ID)], ...] = ()
    """The newest trade ids where they are not dense, the newest one last."""


class OpenGap(msgspec.Struct, frozen=True, omit_defaults=True):
    """A gap that was open."""

    gap: StoredGap
    recovered: StoredId = 0
    lost: tuple[IdPair, ...] = ()
    sink: str | None = None
    missing: tuple[IdPair, ...] = msgspec.field(default=(), name="holes")
    """Missing ids, where ``sink`` is set."""

    def __post_init__(self) -> None:
        """Refuse a gap that cannot be continued; a reader reports the document as unreadable.

        Raises:
            ValueError: a bound is no id, or a number is too large.
        """
        gap = self.gap
        for text in (gap.first, gap.last):
            if text is not None and not _is_id(text):
                raise ValueError(f"{text[:40]!r} is no id of a gap")
        for number in (gap.receive_time_ns, gap.exchange_time_ns, gap.from_time_ns, gap.to_time_ns, gap.missing):
            if abs(number or 0) > LATEST_NS:
                raise ValueError("a number of a gap is out of range")


class Positions(msgspec.Struct, frozen=True):
    """Checkpoint of one process at one moment."""

    streams: dict[str, LinePosition]
    gaps: list[OpenGap]
    losses: list[Loss]
    """Records that sinks dropped and for which no gap is open yet."""
    places: dict[str, str]
    """By sink, the offset at which its durable data ended."""
    contract: int = 2
    """Version of the format; 1 had only the last trade ids."""
    unsettled: tuple[str, ...] = ()
    """Streams that other pods may have delivered before this one, which nobody has said so far (`handover`)."""
    held: tuple[str, ...] = ()
    """Streams whose position is that of a predecessor, which may leave a gap before the first data of this process."""


class StreamPosition(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of one stream, with everything that the next pod must know of it."""

    line: LinePosition
    gaps: tuple[OpenGap, ...] = ()
    losses: tuple[Loss, ...] = ()

    @property
    def number(self) -> int:
        """The last id, or the sequence of a book."""
        return next(each for each in (self.line.last, self.line.head, 0) if each is not None)


def reported(ledger: Ledger, saved: Positions, unsettled: Iterable[str] = ()) -> dict[str, StreamPosition | None]:
    """Return the checkpoint by stream, with None for streams that have ids or sequences but no data yet.

    ``unsettled`` streams have None too. Their positions would hide what was missed before the data of this process.
    """
    kinds = IdProgress | UnnumberedProgress | BookProgress
    nothing = {str(stream): None for stream, progress in ledger.streams.items() if isinstance(progress, kinds)}
    return {**nothing, **by_stream(saved), **dict.fromkeys(unsettled)}


def by_stream(saved: Positions) -> dict[str, StreamPosition]:
    """Return the checkpoint by stream. Streams without data are left out."""
    found = {name: StreamPosition(line) for name, line in saved.streams.items()}
    for gap in saved.gaps:
        if known := found.get(gap.gap.stream):
            found[gap.gap.stream] = msgspec.structs.replace(known, gaps=(*known.gaps, gap))
    for loss in saved.losses:
        if known := found.get(loss.stream):
            found[loss.stream] = msgspec.structs.replace(known, losses=(*known.losses, loss))
    return found


def of_streams(by_name: Mapping[str, StreamPosition]) -> Positions:
    """The reverse of `by_stream`, without places."""
    return Positions(
        {name: each.line for name, each in by_name.items()},
        [gap for each in by_name.values() for gap in each.gaps],
        [loss for each in by_name.values() for loss in each.losses],
        {},
    )


def positions(ledger: Ledger, losses: Sequence[Loss], places: Mapping[str, str]) -> Positions:
    """Return the present checkpoint."""
    streams = {str(stream): position(progress) for stream, progress in ledger.streams.items()}
    gaps = [_open_gap(known) for known in ledger.gaps.all_open()]
    return Positions({name: each for name, each in streams.items() if each}, gaps, list(losses), dict(places))


def position(progress: StreamProgress) -> LinePosition | None:
    """Return a stream's checkpoint; None before its first data, and for kinds that have none."""
    match progress:
        case BookProgress(head=head, head_ns=head_ns) if head is not None:
            return LinePosition(head=head, time_ns=head_ns or 0)
        case IdProgress(ids=ids) if ids.last_id is not None:
            return LinePosition(ids.last_id, ids.last_time_ns, _pairs((*ids.missing, *ids.waiting)))
        case UnnumberedProgress(delivered=(ids, time_ns)) if ids:
            return LinePosition(time_ns=time_ns, ids=(*reversed([*islice(reversed(ids), IDS_STORED)]),))
    return None


def _open_gap(known: KnownGap) -> OpenGap:
    return OpenGap(StoredGap.of(known.gap), known.recovered, _pairs(known.lost), known.sink, _pairs(known.missing))


def _pairs(ranges: Iterable[IdRange]) -> tuple[IdPair, ...]:
    return tuple((each.first, each.last) for each in in_order(ranges))


def _ranges(pairs: Iterable[IdPair], now: Moment) -> list[IdRange]:
    return [IdRange(first, last, now.at) for first, last in pairs]


class Written(msgspec.Struct, frozen=True):
    """Data known to be in the output although the checkpoint is older (see `sinks.interface.Memory`)."""

    numbers: Mapping[str, Sequence[tuple[int, int]]]
    """By stream: ids and their exchange times."""
    heads: Mapping[str, int]
    gaps: Mapping[str, Gap]
    closed: Iterable[str]
    """Ids of gaps that were closed."""
    head_times: Mapping[str, int] = {}
    """By stream of `heads`: exchange times."""
    trades: Mapping[str, Sequence[tuple[str, int]]] = {}
    """By stream: trade ids that are not dense, and their exchange times."""

    def without_heads(self, streams: Collection[str]) -> "Written":
        """Return this without what tells where these streams ended."""

        def others(by_stream: Mapping[str, T]) -> dict[str, T]:
            return {name: each for name, each in by_stream.items() if name not in streams}

        heads, trades = others(self.heads), others(self.trades)
        return msgspec.structs.replace(self, heads=heads, head_times=others(self.head_times), trades=trades)


def resume(ledger: Ledger, saved: Positions, written: Written, now: Moment) -> list[Emit]:
    """Continue every stream from its checkpoint, and from the data written after it.

    Data missing since then is found like any other gap; open gaps keep their ids. Returns the records to emit at once.
    """
    by_name = {str(stream): progress for stream, progress in ledger.streams.items()}
    for name, progress in by_name.items():
        if isinstance(progress, IdProgress):
            _resume_ids(progress, saved.streams.get(name), written.numbers.get(name, ()), now)
        elif isinstance(progress, UnnumberedProgress):
            _resume_trades(ledger, progress, saved.streams.get(name), written.trades.get(name, ()), now)
    records = resume_gaps(ledger, _unclosed(saved, written), now)
    for name, progress in by_name.items():
        if isinstance(progress, BookProgress):
            head, head_ns = _head(name, saved, written)
            records += ledger.books.resume(progress, head, head_ns, now)
    lost = [Emit(events, loss.sink) for loss in saved.losses if (events := ledger.on_sink_loss(loss, now))]
    return [Emit(records), *lost] if records else lost


def resume_gaps(ledger: Ledger, gaps: Iterable[OpenGap], now: Moment) -> list[Record]:
    """Continue gaps that another process left open; returns the records to emit."""
    by_name = {str(stream): progress for stream, progress in ledger.streams.items()}
    open_gaps = [gap for gap in gaps if gap.gap.stream in by_name]
    return [event for gap in open_gaps for event in _resume_gap(ledger, by_name[gap.gap.stream], gap, now)]


def _unclosed(saved: Positions, written: Written) -> list[OpenGap]:
    known = {each.gap.gap_id: each for each in saved.gaps}
    later = {gap_id: OpenGap(StoredGap.of(gap)) for gap_id, gap in written.gaps.items() if gap_id not in known}
    closed = set(written.closed)
    return [gap for gap_id, gap in (known | later).items() if gap_id not in closed]


def _resume_ids(
    progress: IdProgress, saved: LinePosition | None, written: Sequence[tuple[int, int]], now: Moment
) -> None:
    if saved is not None:
        progress.ids = IdTracker(saved.last, saved.time_ns)
        progress.ids.waiting = _ranges(saved.missing, now)
    for number, time_ns in written:
        progress.ids.take(number, number, time_ns, now.at)
    progress.ids.first_id = 0
    if progress.ids.last_id is not None:
        progress.interruption = GapReason.RESTARTED


def _resume_trades(
    ledger: Ledger,
    progress: UnnumberedProgress,
    saved: LinePosition | None,
    written: Sequence[tuple[str, int]],
    now: Moment,
) -> None:
    ids = [*(saved.ids if saved else ()), *(trade_id for trade_id, _ in written)]
    latest_ns = max([saved.time_ns if saved else 0, *(time_ns for _, time_ns in written)])
    ledger.trades.resume(progress, ids[-IDS_KEPT:], latest_ns, now)


def _resume_gap(ledger: Ledger, progress: StreamProgress, saved: OpenGap, now: Moment) -> Sequence[Record]:
    known = KnownGap(saved.gap.record(), progress.stream, saved.sink, recovered=saved.recovered)
    known.lost, known.missing = _ranges(saved.lost, now), _ranges(saved.missing, now)
    ledger.gaps.resume(known)
    if isinstance(progress, BookProgress):
        progress.gap_id = saved.gap.gap_id
        return ()
    if isinstance(progress, UnnumberedProgress):  # the ids before the gap are not known any more
        return [ledger.gaps.close_lost(known, EndReason.NOT_IN_HISTORY, now)]
    if saved.sink is None and isinstance(progress, IdProgress):
        _expect(progress.ids, *known.ids, now)
        progress.ids.mark_missing(*known.ids)
        progress.has_open_end = progress.has_open_end or known.gap.to_time_ns is None
        known.recovered = ledger.ids.recovered(known)  # includes data written after the checkpoint
    return ledger.ids.close_if_filled(known, EndReason.BACKFILLED, now)


def _expect(ids: IdTracker, first: int, last: int, now: Moment) -> None:
    """Record that the ids of a gap exist. The record beyond it may not have been written any more."""
    if ids.last_id is None:
        ids.resume(first - 1, 0)
    ids.expect(last, now.at)


def _head(name: str, saved: Positions, written: Written) -> tuple[int | None, int | None]:
    """Return the sequence that a book published last, with its time. The output is newer than the checkpoint."""
    if name in written.heads:
        return written.heads[name], written.head_times.get(name) or None
    line = saved.streams.get(name)
    return (line.head, line.time_ns or None) if line else (None, None)
