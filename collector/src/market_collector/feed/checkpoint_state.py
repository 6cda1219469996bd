"""Where every stream stands, as a document: what must outlive the process, so that the next one misses nothing."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from market_collector.book.continuity import Hole, IdLine
from market_collector.feed.effects import Emit
from market_collector.feed.gaps import KnownGap
from market_collector.feed.ledger import Ledger, Loss
from market_collector.feed.stream_state import StreamLedger
from market_collector.model.events import Gap, Record
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType

Run = tuple[int, int]
"""First and last of consecutive numbers."""


class LinePosition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stream of dense numbers, or a book (``head`` only)."""

    last: int | None = None
    """The highest number."""
    time_ns: int = 0
    """The latest exchange time."""
    holes: tuple[Run, ...] = ()
    """Numbers below ``last`` that are not there."""
    head: int | None = None
    """Books: the sequence that was published last."""


class OpenGap(msgspec.Struct, frozen=True, omit_defaults=True):
    """A gap that was open."""

    gap: Gap
    recovered: int = 0
    lost: tuple[Run, ...] = ()
    sink: str | None = None
    holes: tuple[Run, ...] = ()


class Positions(msgspec.Struct, frozen=True):
    """All of one process at one moment."""

    streams: dict[str, LinePosition]
    gaps: list[OpenGap]
    losses: list[Loss]
    """What sinks have missed and were not told yet."""
    places: dict[str, str]
    """By sink: where its durable data ended at that moment."""
    contract: int = 2
    """1 had only the last trade ids."""


def positions(ledger: Ledger, losses: Sequence[Loss], places: Mapping[str, str]) -> Positions:
    """The present positions."""
    streams = {str(stream): position(page) for stream, page in ledger.streams.items()}
    gaps = [_open_gap(known) for known in ledger.gaps.all_open()]
    return Positions({name: each for name, each in streams.items() if each}, gaps, list(losses), dict(places))


def position(page: StreamLedger) -> LinePosition | None:
    """Where one stream stands; None before its first data, and for tickers."""
    if page.head is not None:
        return LinePosition(head=page.head)
    line = page.line
    if line.last_id is None:
        return None
    return LinePosition(line.last_id, line.last_time_ns, _runs((*line.missing, *line.waiting)))


def _open_gap(known: KnownGap) -> OpenGap:
    return OpenGap(known.gap, known.recovered, _runs(known.lost), known.sink, _runs(known.holes))


def _runs(holes: Iterable[Hole]) -> tuple[Run, ...]:
    return tuple((hole.first, hole.last) for hole in sorted(holes))


class Written(msgspec.Struct, frozen=True):
    """What is known to be in the output although the positions are older (see `sinks.interface.Memory`)."""

    numbers: Mapping[str, Sequence[tuple[int, int]]]
    heads: Mapping[str, int]
    gaps: Mapping[str, Gap]
    closed: Iterable[str]


NOTHING = Written({}, {}, {}, ())


def resume(ledger: Ledger, saved: Positions, written: Written, now: Moment) -> list[Emit]:
    """Lets every stream go on from its saved position, and from what was written after it.

    What is missing from then on will be found like any other hole; open gaps go on under their old ids. Returns what
    must be said at once.
    """
    pages = {str(stream): page for stream, page in ledger.streams.items()}
    gaps = {each.gap.gap_id: each for each in saved.gaps} | {
        gap_id: OpenGap(gap) for gap_id, gap in written.gaps.items() if gap_id not in {g.gap.gap_id for g in saved.gaps}
    }
    for name, page in pages.items():
        _resume_line(page, saved.streams.get(name), written.numbers.get(name, ()), now)
    open_gaps = [gap for gap_id, gap in gaps.items() if gap_id not in set(written.closed) and gap.gap.stream in pages]
    records = [event for gap in open_gaps for event in _resume_gap(ledger, pages[gap.gap.stream], gap, now)]
    for name, page in pages.items():
        if page.stream.data_type is DataType.ORDERBOOK:
            records += ledger.book_resumed(page, _head(saved.streams.get(name), written.heads.get(name)), now)
    lost = [Emit(events, loss.sink) for loss in saved.losses if (events := ledger.sink_lost(loss, now))]
    return [Emit(records), *lost] if records else lost


def _resume_line(
    page: StreamLedger, saved: LinePosition | None, written: Sequence[tuple[int, int]], now: Moment
) -> None:
    if saved is not None:
        page.line = IdLine(saved.last, saved.time_ns)
        page.line.waiting = [Hole(first, last, now.at) for first, last in saved.holes]
    for number, time_ns in written:
        page.line.take(number, number, time_ns, now.at)
    if page.line.last_id is not None:
        page.interruption = "Restarted"


def _resume_gap(ledger: Ledger, page: StreamLedger, saved: OpenGap, now: Moment) -> Sequence[Record]:
    known = KnownGap(saved.gap, page.stream, saved.sink, recovered=saved.recovered)
    known.lost = [Hole(first, last, now.at) for first, last in saved.lost]
    known.holes = [Hole(first, last, now.at) for first, last in saved.holes]
    ledger.gaps.resume(known)
    if page.stream.data_type is DataType.ORDERBOOK:
        page.book_gap = saved.gap.gap_id
        return ()
    if saved.sink is None:
        page.line.call_missing(*ledger.bounds(known))
        known.recovered = ledger.recovered(known)  # also what was written after the position was saved
    return ledger.finish(known, "Backfilled", now)


def _head(saved: LinePosition | None, written: int | None) -> int | None:
    """The sequence of a book that was published last; what is in the output is newer than what was saved."""
    if written is not None:
        return written
    return saved.head if saved else None
