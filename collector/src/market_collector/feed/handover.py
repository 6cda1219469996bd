"""Takes streams over from other pods of the resource. Pure.

The operator keeps where each stream ended in a document that every pod mounts. A pod without a checkpoint of its own
continues from there. A predecessor that still runs may deliver further than the document says. Until it is seen to
overlap with this pod, or to be gone, the ids between are neither delivered nor missing: the stream is held.

The document that a pod finds at its start may be older than the pod, so that it lacks a predecessor or its positions.
The first pod of a resource finds none. A stream without a position is therefore new only if a document that lists this
pod says so.
"""

from collections.abc import Iterable, Mapping

import msgspec

from market_collector.book.continuity import IdRange
from market_collector.feed.checkpoint_state import (
    Positions,
    StreamPosition,
    Written,
    by_stream,
    of_streams,
    resume_gaps,
)
from market_collector.feed.effects import Emit
from market_collector.feed.gaps import GapBounds
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import BookProgress, IdProgress, StreamProgress, UnnumberedProgress
from market_collector.model.events import Record, Trade
from market_collector.model.moment import Moment
from market_collector.model.reasons import EndReason, GapReason

CONTRACT = 1
Continued = IdProgress | UnnumberedProgress | BookProgress
"""Streams that continue where another pod ended."""
_ENDED = ""
"""Stands for the pods whose ends are in `Handover.ended`."""


class RunningPod(msgspec.Struct, frozen=True):
    """A pod that ran when the operator wrote the document."""

    address: str
    """HOST:PORT of its HTTP server."""
    streams: dict[str, StreamPosition | None] | None
    """null for a stream without a position; for all of them if the pod runs but has not reported."""

    @property
    def positions(self) -> dict[str, StreamPosition]:
        """The known positions by stream."""
        return {name: position for name, position in (self.streams or {}).items() if position}

    def may_deliver(self, stream: str) -> bool:
        """Whether it may have delivered a stream of which it has no position."""
        return self.streams is None or (stream in self.streams and self.streams[stream] is None)


class Handover(msgspec.Struct, frozen=True):
    """The document of the operator: where every stream of the resource ended (docs/contracts.md)."""

    contract: int
    ended: dict[str, StreamPosition | None]
    """By stream, of pods that are gone; null if a pod may have delivered it but its end is unknown."""
    running: dict[str, RunningPod]
    """By pod UID, each pod as soon as it runs."""


class _Held(msgspec.Struct):
    """A stream that pods in ``pods`` may still deliver. ``start`` is where it was resumed."""

    progress: Continued
    pods: set[str]
    start: int
    is_timed: bool = False
    """Whether pods are compared by exchange time, since each one numbers the records itself, or nobody does."""
    first: int | None = None
    """The first id, sequence or exchange time that this pod delivered; None before that."""
    is_covered: bool = False
    """Whether a predecessor was seen to deliver beyond this pod's first data."""

    @property
    def step(self) -> int:
        """By how much a predecessor may end before ``first`` without a gap: a snapshot contains its own sequence."""
        return 1 if isinstance(self.progress, IdProgress) else 0

    def note_first(self) -> None:
        """Read ``first`` from the progress, as long as it is not known."""
        if self.first is not None:
            return
        if isinstance(self.progress, BookProgress):
            self.first = self.progress.first_ns if self.is_timed else self.progress.first
        elif isinstance(self.progress, UnnumberedProgress):
            first = self.progress.first_data
            self.first = None if first is None else first.exchange_time_ns or 0
        elif self.progress.ids.last_id != self.start:
            waiting = [each for each in self.progress.ids.waiting if each.first <= self.start + 1 <= each.last]
            self.first = waiting[0].last + 1 if waiting else self.start + 1

    def is_reached(self, at: StreamPosition, order: int) -> bool:
        """Return whether a predecessor with this position, and its order, has delivered up to ``first``."""
        if self.first is None:
            return False
        if not isinstance(self.progress, UnnumberedProgress):
            return order >= self.first - self.step
        first = self.progress.first_data
        return order > self.first or (isinstance(first, Trade) and first.trade_id in at.line.ids)


class Takeover:
    """The handover to this pod. ``document`` is None if there is none so far, or it cannot be read."""

    def __init__(self, ledger: Ledger, document: Handover | None, own_uid: str) -> None:
        self._ledger = ledger
        document = document or Handover(CONTRACT, {}, {})
        own = document.running.get(own_uid)
        self._document, self._own_uid = document, own_uid
        self._ended: dict[str, StreamPosition | None] = {**document.ended, **(own.positions if own else {})}
        others = {uid: pod for uid, pod in document.running.items() if uid != own_uid}
        self.predecessors = {uid: pod.address for uid, pod in others.items()}
        """Addresses of the pods to ask, by UID. One that is gone is removed."""
        self._seen = {uid: pod.positions for uid, pod in others.items()}
        timed = [*ledger.trades.streams, *(ledger.books.streams if ledger.books.has_own_numbers else ())]
        self._timed = frozenset(map(str, timed))
        self.uncertain: set[str] = set()
        """Streams that a pod without a known position may have delivered before, by any document so far."""
        self._gone: set[str] = set()
        self._held: dict[str, _Held] = {}
        self._fresh: dict[str, Continued] = {}
        """Streams without a position of other pods so far. They are new, or the document is too old."""
        self._resumed: dict[str, StreamPosition] = {}
        """Those of `_fresh` that this pod delivered before it was started again, with their checkpoint."""

    @property
    def is_covered(self) -> bool:
        """Whether this pod delivers all of its streams without a gap to its predecessors."""
        return all(held.is_covered for held in self._held.values())

    @property
    def is_settled(self) -> bool:
        """Whether each stream has a position or is known to be new."""
        return not self._fresh

    def hold(self, positions: Positions) -> Positions:
        """Return the checkpoint with the ends of predecessors for the streams that are held and not covered.

        If this pod dies before they overlap, the next one asks the same question: its own data would hide the gap.
        """
        ends = {
            name: at
            for name, held in self._held.items()
            if not held.is_covered and (at := self._furthest(name, held.pods))
        }
        before = of_streams(ends)
        return msgspec.structs.replace(
            positions,
            streams=positions.streams | before.streams,
            gaps=positions.gaps + before.gaps,
            losses=positions.losses + before.losses,
            unsettled=tuple(self._fresh),
            held=tuple(ends),
        )

    @property
    def awaited(self) -> set[str]:
        """UIDs of predecessors whose next report matters: of held streams, or with gaps that they may leave open."""
        return {
            uid
            for name, held in self._held.items()
            for uid in held.pods
            if not held.is_covered or (name in self._seen[uid] and self._seen[uid][name].gaps)
        }

    def inherit(self, saved: Positions, written: Written, now: Moment) -> tuple[Positions, list[Record]]:
        """The checkpoint to resume, completed by what other pods delivered.

        Returns also the records about streams whose position is unknown.
        """
        inherited, records = dict[str, StreamPosition](), list[Record]()
        known = by_stream(saved)
        self._resumed = {name: known[name] for name in saved.unsettled if name in known}
        for progress in self._ledger.streams.values():
            name = str(progress.stream)
            if not isinstance(progress, Continued):
                continue
            if name in self._resumed:
                records += self._ask_again(progress, name, inherited, now)
            elif name not in saved.streams:
                records += self._inherit(progress, name, inherited, written, now)
        new = of_streams(inherited)
        return (
            Positions(saved.streams | new.streams, saved.gaps + new.gaps, saved.losses + new.losses, saved.places),
            records,
        )

    def _inherit(
        self,
        progress: Continued,
        name: str,
        inherited: dict[str, StreamPosition],
        written: Written,
        now: Moment,
    ) -> list[Record]:
        pods = self._deliverers(name)
        at = self._furthest(name, pods) or self._ended.get(name)
        last_written = self._last_written(progress, name, written)
        if at is None:
            if last_written is not None:
                return []
            self._fresh[name] = progress
            return self._settle(name, self._document, now)
        if last_written is not None and last_written >= self._order(name, at):
            return []
        if not pods:
            inherited[name] = at
            return []
        self._held[name] = _Held(progress, pods, at.number, name in self._timed)
        if isinstance(progress, IdProgress):
            progress.is_held = True
            inherited[name] = StreamPosition(msgspec.structs.replace(at.line, missing=()))
        return []

    def _ask_again(
        self, progress: Continued, name: str, inherited: dict[str, StreamPosition], now: Moment
    ) -> list[Record]:
        """Continue a stream that was unsettled when this pod crashed: from the earlier one of two positions."""
        at = self._furthest(name, self._deliverers(name)) or self._document.ended.get(name)
        if at is None:
            self._fresh[name] = progress
            return self._settle(name, self._document, now)
        if self._order(name, at) < self._order(name, self._resumed[name]):
            inherited[name] = at
        return []

    def _deliverers(self, name: str) -> set[str]:
        return {uid for uid, streams in self._seen.items() if name in streams}

    def _report_unknown(self, progress: StreamProgress, now: Moment) -> list[Record]:
        if isinstance(progress, BookProgress):
            return self._ledger.books.open_unseen(progress, None, None, GapReason.POSITION_UNKNOWN, now)
        gaps = self._ledger.gaps
        gap, *_ = gaps.open(progress.stream, GapBounds(), GapReason.POSITION_UNKNOWN, now)
        return [gap, gaps.close_lost(gaps.known[gap.gap_id], EndReason.POSITION_UNKNOWN, now)]

    def on_report(self, uid: str, streams: Mapping[str, StreamPosition], now: Moment) -> list[Emit]:
        """A predecessor said where its streams are."""
        self._see(uid, streams, now)
        return self._judge(now)

    def _see(self, uid: str, streams: Mapping[str, StreamPosition], now: Moment) -> None:
        self._seen[uid] = {**self._seen.get(uid, {}), **streams}
        for name in self._held.keys() & streams.keys():
            self._held[name].pods.add(uid)
        for name in self._fresh.keys() & streams.keys():
            self._hold_late(name, uid, streams[name], now)

    def on_document(self, document: Handover, now: Moment) -> list[Emit]:
        """The operator's document, read again, knows more than the first one.

        A predecessor that is not in it is gone.
        """
        for uid in document.running.keys() - {self._own_uid}:
            if uid not in self._gone:
                self.predecessors[uid] = document.running[uid].address
            self._see(uid, self._further(uid, document.running[uid].positions), now)
        for uid in self.predecessors.keys() - document.running.keys():
            ended = {name: at for name in self._seen[uid] if (at := document.ended.get(name))}
            self._see(uid, self._further(uid, ended), now)
            self._lose(uid)
        records = [record for name in [*self._fresh] for record in self._settle(name, document, now)]
        return [*([Emit(records)] if records else []), *self._judge(now)]

    def _further(self, uid: str, streams: Mapping[str, StreamPosition]) -> dict[str, StreamPosition]:
        """The positions that are further than those seen before."""
        seen = self._seen.get(uid, {})
        return {
            name: at
            for name, at in streams.items()
            if name not in seen or self._order(name, at) > self._order(name, seen[name])
        }

    def _settle(self, name: str, document: Handover, now: Moment) -> list[Record]:
        if at := document.ended.get(name):
            self._see(_ENDED, {name: at}, now)
        elif any(pod.may_deliver(name) for uid, pod in document.running.items() if uid != self._own_uid):
            self.uncertain.add(name)  # it will say where it is, or the next document where it ended
        elif name in document.ended:
            return self._report_unknown(self._fresh.pop(name), now)
        elif self._own_uid in document.running:
            del self._fresh[name]
        return []

    def give_up(self, now: Moment) -> list[Emit]:
        """No document says within a reasonable time whether these streams are new, so it stays unknown."""
        records = [record for name in [*self._fresh] for record in self._report_unknown(self._fresh.pop(name), now)]
        return [Emit(records)] if records else []

    def _hold_late(self, name: str, uid: str, at: StreamPosition, now: Moment) -> None:
        """Hold a stream that other pods delivered although the first document did not know it."""
        progress = self._fresh.pop(name)
        self._held[name] = held = _Held(progress, {uid}, at.number, name in self._timed)
        if not isinstance(progress, IdProgress):
            return
        ids = progress.ids
        progress.is_held, progress.interruption = True, GapReason.RESTARTED
        if ids.last_id is None:
            ids.resume(at.number, at.line.time_ns)
            return
        held.first = self._resumed[name].number if name in self._resumed else ids.first_id or ids.last_id
        if at.number + 1 < held.first:
            ids.give_up(at.number + 1, held.first - 1)
            ids.waiting.append(IdRange(at.number + 1, held.first - 1, now.at))

    def on_gone(self, uid: str, now: Moment) -> list[Emit]:
        """A predecessor is gone, or cannot be reached: it delivered as far as it said last."""
        self._lose(uid)
        return self._judge(now)

    def _lose(self, uid: str) -> None:
        self.predecessors.pop(uid, None)
        self._gone.add(uid)

    def _judge(self, now: Moment) -> list[Emit]:
        records = [record for name in [*self._held] for record in self._judge_stream(name, self._held[name], now)]
        return [Emit(records)] if records else []

    def _judge_stream(self, name: str, held: _Held, now: Moment) -> list[Record]:
        """Release a stream when a predecessor overlaps, or when none is left."""
        at = self._furthest(name, held.pods)
        assert at is not None
        held.note_first()
        if not held.is_covered and held.is_reached(at, self._order(name, at)):
            held.is_covered = True
            _release(held, at)
        if held.pods & self.predecessors.keys():
            return []
        del self._held[name]
        return self._take_over(held, at, now)

    def _take_over(self, held: _Held, at: StreamPosition, now: Moment) -> list[Record]:
        """Continue a stream whose predecessors are gone: what they left open is this pod's now."""
        if not held.is_covered:
            _release(held, at)
        if isinstance(held.progress, IdProgress):
            _take_missing(held, held.progress, at, now)
        records = resume_gaps(self._ledger, at.gaps, now)
        if isinstance(held.progress, BookProgress) and not held.is_covered:
            records += self._resume_book(held.progress, at, now)
        if isinstance(held.progress, UnnumberedProgress) and not held.is_covered:
            records += self._ledger.trades.resume(held.progress, at.line.ids, at.line.time_ns, now)
        return records

    def _resume_book(self, progress: BookProgress, at: StreamPosition, now: Moment) -> list[Record]:
        if progress.first is None:
            return self._ledger.books.resume(progress, at.number, at.line.time_ns or None, now)
        from_ns = at.line.time_ns or None
        return self._ledger.books.open_unseen(progress, at.number, from_ns, GapReason.RESTARTED, now)

    def _furthest(self, name: str, pods: Iterable[str]) -> StreamPosition | None:
        known = [self._seen[uid][name] for uid in pods]
        return max(known, key=lambda at: self._order(name, at), default=None)

    def _order(self, name: str, at: StreamPosition) -> int:
        """Return a number by which positions of a stream are in order, also those of different pods."""
        return at.line.time_ns if name in self._timed else at.number

    def _last_written(self, progress: Continued, name: str, written: Written) -> int | None:
        if isinstance(progress, BookProgress):
            return (written.head_times if name in self._timed else written.heads).get(name)
        if isinstance(progress, UnnumberedProgress):
            return max((time_ns for _, time_ns in written.trades.get(name, ())), default=None)
        return max((number for number, _ in written.numbers.get(name, ())), default=None)


def _take_missing(held: _Held, progress: IdProgress, at: StreamPosition, now: Moment) -> None:
    """Miss what a predecessor missed, except ids that this pod has delivered itself."""
    for first, last in at.line.missing:
        if held.first is None or first < held.first:
            end = last if held.first is None else min(last, held.first - 1)
            progress.ids.waiting.append(IdRange(first, end, now.at))


def _release(held: _Held, at: StreamPosition) -> None:
    """Take the ids that a predecessor delivered as delivered. Others that are missing become a gap as usual."""
    progress = held.progress
    if not isinstance(progress, IdProgress):
        return
    progress.is_held = False
    if held.first is None:
        progress.ids.resume(at.number, at.line.time_ns)
    else:
        progress.ids.give_up(held.start + 1, min(at.number, held.first - 1))
