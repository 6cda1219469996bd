"""Totals that survive restarts: they never decrease and count nothing twice. Pure.

A run of a collector's container is an epoch, "pod UID/start of the container", and counts from zero. The status keeps,
per shard, the sum of ended epochs (base) and each epoch that may still grow.

Of an existing pod, the two newest epochs are kept: one runs, and the termination message of the one before may still
arrive. Older epochs are in the base.

An epoch of a pod that is gone enters the base in two writes. The first stores its last counters. The second moves them,
after the status was read back with nothing to add. So neither a write whose answer was lost nor a crash between two
writes counts anything twice.

A finished pod (evicted, failed) may exist for days, and there may be any number of them. Its epochs enter the base like
those of a pod that is gone. The start of the newest one is stored, so that a new process counts none again. An unknown
epoch of a finished pod that started no later is in the base.

The list of a shard has a limit. Epochs beyond it wait in memory for later writes.
"""

from collections import Counter as Tally
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pydantic.alias_generators import to_camel

KEPT_PER_POD = 2
EPOCHS_LIMIT = 32
"""Most epochs of one shard in the status, which the CRD enforces."""
LARGEST_COUNT = 2**53
"""Largest count of one epoch that is believed. A collector that is broken or lies reports more."""
LARGEST = 2**63 - 1
"""Largest sum that the API server stores. It refuses a whole status with a larger one."""


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of a collector. Each only grows during an epoch."""

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
        return Counters(*(min(a + b, LARGEST) for a, b in zip(self.numbers, other.numbers, strict=True)))

    def latest(self, other: "Counters") -> "Counters":
        """The larger of each number: the later of two samples of an epoch."""
        return Counters(*map(max, self.numbers, other.numbers))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers in the order of the fields."""
        return tuple(getattr(self, each.name) for each in fields(self))


NAMES = {each.name: to_camel(each.name) for each in fields(Counters)}


def read_counters(document: Mapping[str, Any], most: int = LARGEST_COUNT) -> Counters:
    """The counters in a status or report. Missing or invalid ones are 0, and larger ones than `most` are `most`."""
    return Counters(**{name: _count(document.get(alias), most) for name, alias in NAMES.items()})


def write_counters(counters: Counters) -> dict[str, int]:
    """The counters as the status stores them."""
    return {alias: getattr(counters, name) for name, alias in NAMES.items()}


def _count(value: object, most: int) -> int:
    return min(value, most) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of one epoch, with its shard and the name of its pod. `is_final`: the pod has finished."""

    epoch: str
    shard: int
    pod: str
    counters: Counters
    is_final: bool = field(default=False, compare=False)

    @property
    def uid(self) -> str:
        """UID of the pod."""
        return self.epoch.partition("/")[0]

    @property
    def start(self) -> tuple[int, str]:
        """Sort key by the start of the run."""
        return start_key(self.epoch.partition("/")[2])


def start_key(text: str) -> tuple[int, str]:
    """Sort key for starts of runs: strings of equal length sort like the times or numbers in them."""
    return len(text), text


@dataclass(frozen=True, slots=True)
class CounterState:
    """The stored counters: the base of each shard, and the epochs that may still grow.

    `counted_through` is, by shard, the newest start among the epochs in the base whose pods had finished.
    """

    base: Mapping[int, Counters] = field(default_factory=dict)
    epochs: tuple[Sample, ...] = ()
    counted_through: Mapping[int, str] = field(default_factory=dict)

    @property
    def total(self) -> Counters:
        """The totals since the resource was created."""
        total = Counters()
        for part in (*self.base.values(), *(epoch.counters for epoch in self.epochs)):
            total = total.plus(part)
        return total

    def has_counted(self, sample: Sample) -> bool:
        """Whether a sample of a finished pod is in the base. It is not among the epochs."""
        return sample.is_final and sample.start <= start_key(self.counted_through.get(sample.shard, ""))


def fold(
    counters: CounterState, samples: Iterable[Sample], pods: Collection[str], finished: Collection[str] = ()
) -> CounterState:
    """The counters with `samples` added. `pods` and `finished` are the UIDs of existing pods: unfinished, and finished.

    A sample of a pod that is gone must be dropped once it `adds_nothing` to the stored counters.
    """
    by_pod: dict[str, dict[str, Sample]] = {}
    for epoch in counters.epochs:
        by_pod.setdefault(epoch.uid, {})[epoch.epoch] = epoch
    known = {epoch.epoch for epoch in counters.epochs}
    for sample in samples:
        if sample.epoch in known or not counters.has_counted(sample):
            _merge(by_pod.setdefault(sample.uid, {}), sample)
    base, kept, stored = dict(counters.base), list[Sample](), set(counters.epochs)
    through = dict(counters.counted_through)
    for uid, epochs in by_pod.items():
        growing = _growing(list(epochs.values()), uid in pods, stored)
        kept += growing
        for ended in set(epochs.values()).difference(growing):
            base[ended.shard] = base.get(ended.shard, Counters()).plus(ended.counters)
            if uid in finished:
                through[ended.shard] = max(through.get(ended.shard, ""), ended.start[1], key=start_key)
    return CounterState(base, _bounded(kept, known, pods), through)


def _bounded(epochs: list[Sample], known: Collection[str], pods: Collection[str]) -> tuple[Sample, ...]:
    """At most EPOCHS_LIMIT epochs of each shard: the stored ones, then those of running pods, then the oldest."""
    kept, taken = list[Sample](), Tally[int]()
    for epoch in sorted(epochs, key=lambda each: (each.epoch not in known, each.uid not in pods, each.start)):
        taken[epoch.shard] += 1
        if taken[epoch.shard] <= EPOCHS_LIMIT:
            kept.append(epoch)
    return tuple(sorted(kept, key=lambda epoch: (epoch.shard, epoch.epoch)))


def _growing(epochs: list[Sample], exists: bool, stored: Collection[Sample]) -> list[Sample]:
    """The epochs of one pod that do not enter the base yet."""
    if exists:
        return sorted(epochs, key=lambda epoch: epoch.start)[-KEPT_PER_POD:]
    return [epoch for epoch in epochs if epoch not in stored]


def adds_nothing(counters: CounterState, sample: Sample, pods: Collection[str], finished: Collection[str] = ()) -> bool:
    """Whether `sample` changes no total."""
    return fold(counters, (sample,), pods, finished).total == counters.total


def _merge(epochs: dict[str, Sample], sample: Sample) -> None:
    """Adds `sample`, unless its epoch is already in the base."""
    known = epochs.get(sample.epoch)
    if known:
        epochs[sample.epoch] = replace(known, counters=known.counters.latest(sample.counters))
    elif len(epochs) < KEPT_PER_POD or sample.start > min(epoch.start for epoch in epochs.values()):
        epochs[sample.epoch] = sample


def read_counter_state(shard_statuses: Iterable[Mapping[str, Any]]) -> CounterState:
    """The counters in the status."""
    base, epochs, through = {}, [], {}
    for each in shard_statuses:
        shard = int(each["shard"])
        base[shard] = read_counters(each.get("base", {}), LARGEST)
        if start := each.get("countedThrough"):
            through[shard] = str(start)
        epochs += [
            Sample(str(epoch["epoch"]), shard, str(epoch.get("pod", "")), read_counters(epoch))
            for epoch in each.get("epochs", ())
        ]
    return CounterState(base, tuple(epochs), through)


def write_counter_state(counters: CounterState) -> list[dict[str, Any]]:
    """The counters in the status."""
    shards = sorted({*counters.base, *(epoch.shard for epoch in counters.epochs)})
    return [_write_shard(counters, shard) for shard in shards]


def _write_shard(counters: CounterState, shard: int) -> dict[str, Any]:
    epochs = [
        {"epoch": epoch.epoch, "pod": epoch.pod, **write_counters(epoch.counters)}
        for epoch in counters.epochs
        if epoch.shard == shard
    ]
    written = {"shard": shard, "base": write_counters(counters.base.get(shard, Counters())), "epochs": epochs}
    start = counters.counted_through.get(shard)
    return {**written, "countedThrough": start} if start else written
