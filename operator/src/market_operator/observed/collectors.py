"""What the operator has heard from the pods, in memory: their reports, their last words, and who could not be read."""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from market_operator.errors import ReportError
from market_operator.observed.counters import CounterState, Sample, adds_nothing
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report, read_report
from market_operator.resource.naming import Key

_REMEMBERED_PODS = 10_000
News = Literal["picture", "counters", "nothing"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The last look at a pod.

    `report` is the newest that could be read, if any; `problem` says what was tried and what came of it when the newest
    look failed, and `failing_since` when that began (seconds since 1970).
    """

    report: Report | None = None
    problem: str = ""
    failing_since: float = 0.0


@dataclass(slots=True)
class Collectors:
    """Looks by pod UID, and last words by resource and epoch. Lives as long as the process."""

    looks: dict[str, ProbeResult] = field(default_factory=dict)
    _words: dict[Key, dict[str, Sample]] = field(default_factory=dict)
    _done: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def record_probe(self, pod: Pod, report: Report) -> News:
        """Notes a report, and says what is new in it."""
        before = self.looks.get(pod.uid, ProbeResult())
        if before.report and before.report.epoch != report.epoch:
            self._keep(pod, before.report)
        self.looks[pod.uid] = ProbeResult(report)
        if before.problem or before.report is None or before.report.condition_inputs != report.condition_inputs:
            return "picture"
        return "nothing" if before.report == report else "counters"

    def failed(self, pod: Pod, problem: str, now: float) -> bool:
        """Notes that a pod could not be read; whether that is the first time in a row."""
        before = self.looks.get(pod.uid, ProbeResult())
        self.looks[pod.uid] = ProbeResult(before.report, problem, before.failing_since if before.problem else now)
        return not before.problem

    def record_termination(self, pod: Pod) -> None:
        """Keeps the last words of a pod's runs: the pod may be gone within milliseconds.

        A pod that was counted to the end already (a late event after a re-list) is not heard again.
        """
        for message in pod.termination_messages:
            try:
                report = read_report(message)
            except ReportError:
                continue  # a crash leaves the end of its log here instead; the status shows that as a text
            self._keep(pod, report)

    def stopped(self, pod: Pod) -> None:
        """The container of a pod does not run, or the pod is gone: its report is no longer about now.

        Its counters still count, for a collector that was killed leaves no last words.
        """
        look = self.looks.pop(pod.uid, None)
        if look and look.report:
            self._keep(pod, look.report)

    def readings(self, key: Key, pods: Iterable[Pod]) -> list[Sample]:
        """All that was heard of a resource's epochs."""
        reports = [(pod, look.report) for pod in pods if (look := self.looks.get(pod.uid)) and look.report]
        live = [_reading(pod, report) for pod, report in reports if report.epoch.startswith(f"{pod.uid}/")]
        return [*self._words.get(key, {}).values(), *live]

    def settle(self, key: Key, stored: CounterState, pods: Collection[str]) -> None:
        """Drops last words that the stored status holds; `pods` are the UIDs of the resource's pods that exist."""
        for reading in [*self._words.get(key, {}).values()]:
            if adds_nothing(stored, reading, pods):
                del self._words[key][reading.epoch]
                if reading.uid not in pods:
                    self._forget_pod(reading.uid)
        if not self._words.get(key, True):
            del self._words[key]

    def forget(self, key: Key) -> None:
        """Forgets a resource that is gone."""
        self._words.pop(key, None)

    def _keep(self, pod: Pod, report: Report) -> None:
        if pod.uid in self._done or not report.epoch.startswith(f"{pod.uid}/"):
            return
        reading, words = _reading(pod, report), self._words.setdefault(pod.key, {})
        known = words.get(reading.epoch, reading).counters
        words[reading.epoch] = Sample(reading.epoch, reading.shard, reading.pod, known.latest(reading.counters))

    def _forget_pod(self, uid: str) -> None:
        self._done[uid] = None
        while len(self._done) > _REMEMBERED_PODS:
            self._done.popitem(last=False)


def _reading(pod: Pod, report: Report) -> Sample:
    return Sample(report.epoch, pod.shard, pod.name, report.counters)
