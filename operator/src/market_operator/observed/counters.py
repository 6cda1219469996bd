"""Counting over restarts: totals that never go backwards and never count anything twice. Pure.

A run of a collector process is an epoch, "pod UID/start of the container"; it counts from zero. The status keeps, per
shard, the sum of the epochs that have ended (base) and each epoch that may still grow.

Of a pod that exists, the two newest epochs are kept: one runs, and the last words of the one before may still arrive.
An older one goes into the base, and whatever is heard of an epoch older than two kept ones is in the base already.

An epoch of a pod that is gone goes into the base in two writes: the first stores its last counters (as the epoch's
own, so that writing them twice does no harm), the second, when the status was read back with nothing more to add, moves
them.
So a write whose answer was lost, or a crash between two writes, counts nothing twice.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic.alias_generators import to_camel

KEPT_PER_POD = 2


@dataclass(frozen=True, slots=True)
class Counters:
    """What a collector counts; each number only grows during an epoch."""

    messages: int = 0
    records: int = 0
    reconnections: int = 0
    resyncs: int = 0
    dropped_records: int = 0
    gaps_detected: int = 0
    gaps_repaired: int = 0
    gaps_lost: int = 0
    missing_trades: int = 0
    recovered_trades: int = 0
    lost_trades: int = 0
    skipped_updates: int = 0
    unreadable_frames: int = 0

    def plus(self, other: "Counters") -> "Counters":
        """The sum, number by number."""
        return Counters(*(a + b for a, b in zip(self.numbers, other.numbers, strict=True)))

    def latest(self, other: "Counters") -> "Counters":
        """The larger of each number: of two readings of one epoch, the later one."""
        return Counters(*map(max, self.numbers, other.numbers))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers in the order of the fields."""
        return tuple(getattr(self, each.name) for each in fields(self))


NAMES = {each.name: to_camel(each.name) for each in fields(Counters)}


def read_counters(document: Mapping[str, Any]) -> Counters:
    """The counters in a status or a report; what is missing or no count is 0."""
    return Counters(**{name: _count(document.get(alias)) for name, alias in NAMES.items()})


def write_counters(counters: Counters) -> dict[str, int]:
    """The counters as they stand in the status."""
    return {alias: getattr(counters, name) for name, alias in NAMES.items()}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What was heard of one epoch: its shard, the name of its pod, and its counters."""

    epoch: str
    shard: int
    pod: str
    counters: Counters

    @property
    def uid(self) -> str:
        """UID of the pod."""
        return self.epoch.partition("/")[0]

    @property
    def start(self) -> tuple[int, str]:
        """Orders the epochs of one pod: times of one format sort as text, and so do numbers of one length."""
        text = self.epoch.partition("/")[2]
        return len(text), text


@dataclass(frozen=True, slots=True)
class CounterState:
    """All that must be remembered to go on counting: bases by shard, and the epochs that may still grow."""

    base: Mapping[int, Counters] = field(default_factory=dict)
    epochs: tuple[Sample, ...] = ()

    @property
    def total(self) -> Counters:
        """What was counted since the resource was made."""
        total = Counters()
        for part in (*self.base.values(), *(epoch.counters for epoch in self.epochs)):
            total = total.plus(part)
        return total


def fold(tally: CounterState, heard: Iterable[Sample], pods: Collection[str]) -> CounterState:
    """The tally after `record_termination`; `pods` are the UIDs of the pods that exist.

    Of a pod that is gone, what `adds_nothing` to a tally that was read from the status must no longer be heard.
    """
    by_pod: dict[str, dict[str, Sample]] = {}
    for epoch in tally.epochs:
        by_pod.setdefault(epoch.uid, {})[epoch.epoch] = epoch
    for reading in heard:
        _hear(by_pod.setdefault(reading.uid, {}), reading)
    base, kept, stored = dict(tally.base), list[Sample](), set(tally.epochs)
    for uid, epochs in by_pod.items():
        growing = _growing(list(epochs.values()), uid in pods, stored)
        kept += growing
        for ended in set(epochs.values()).difference(growing):
            base[ended.shard] = base.get(ended.shard, Counters()).plus(ended.counters)
    return CounterState(base, tuple(sorted(kept, key=lambda epoch: (epoch.shard, epoch.epoch))))


def _growing(epochs: list[Sample], exists: bool, stored: Collection[Sample]) -> list[Sample]:
    """The epochs of one pod that do not go into the base yet."""
    if exists:
        return sorted(epochs, key=lambda epoch: epoch.start)[-KEPT_PER_POD:]
    return [epoch for epoch in epochs if epoch not in stored]


def adds_nothing(tally: CounterState, reading: Sample, pods: Collection[str]) -> bool:
    """Whether all that `reading` says is in the tally."""
    return fold(tally, (reading,), pods).total == tally.total


def _hear(epochs: dict[str, Sample], reading: Sample) -> None:
    """Takes `reading` in, unless it is about an epoch that was added to the base long ago."""
    known = epochs.get(reading.epoch)
    if known:
        epochs[reading.epoch] = Sample(known.epoch, known.shard, known.pod, known.counters.latest(reading.counters))
    elif len(epochs) < KEPT_PER_POD or reading.start > min(epoch.start for epoch in epochs.values()):
        epochs[reading.epoch] = reading


def read_counter_state(shard_statuses: Iterable[Mapping[str, Any]]) -> CounterState:
    """The tally as the status holds it."""
    base, epochs = {}, []
    for each in shard_statuses:
        shard = int(each["shard"])
        base[shard] = read_counters(each.get("base", {}))
        epochs += [
            Sample(str(epoch["epoch"]), shard, str(epoch.get("pod", "")), read_counters(epoch))
            for epoch in each.get("epochs", ())
        ]
    return CounterState(base, tuple(epochs))


def write_tally(tally: CounterState) -> list[dict[str, Any]]:
    """The tally as the status holds it."""
    shards = sorted({*tally.base, *(epoch.shard for epoch in tally.epochs)})
    return [_write_shard(tally, shard) for shard in shards]


def _write_shard(tally: CounterState, shard: int) -> dict[str, Any]:
    epochs = [
        {"epoch": epoch.epoch, "pod": epoch.pod, **write_counters(epoch.counters)}
        for epoch in tally.epochs
        if epoch.shard == shard
    ]
    return {"shard": shard, "base": write_counters(tally.base.get(shard, Counters())), "epochs": epochs}
