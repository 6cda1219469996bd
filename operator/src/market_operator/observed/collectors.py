"""Reports of the collectors, in memory: probes, termination messages, and pods that could not be probed."""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from market_operator.errors import ReportError
from market_operator.observed.counters import CounterState, Sample, adds_nothing
from market_operator.observed.pods import Pod
from market_operator.observed.reports import SMALL, Report, read_report
from market_operator.resource.naming import Key
from market_operator.resource.shares import KEPT_BYTES, Shares

_MAX_FINISHED_PODS = 10_000
ReportChange = Literal["conditions", "counters", "nothing"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The last probe of a pod.

    `report` is the newest report, if any. After a failed probe, `problem` has the attempt and the error, and
    `failing_since` the time of the first failure in a row (seconds since 1970).
    """

    report: Report | None = None
    problem: str = ""
    failing_since: float = 0.0


@dataclass(slots=True)
class Collectors:
    """Probes by pod UID, and final samples by resource and epoch."""

    probes: dict[str, ProbeResult] = field(default_factory=dict)
    positions: dict[Key, dict[str, str]] = field(default_factory=dict)
    """The newest reported positions by resource and pod UID (`Report.positions`), also of pods that are gone."""
    shares: Shares = field(default_factory=lambda: Shares(KEPT_BYTES))
    """Shares of the memory for reports."""
    _epochs: dict[str, str] = field(default_factory=dict)
    """The epoch of the newest positions, by pod UID."""
    _sizes: dict[str, int] = field(default_factory=dict)
    _final: dict[Key, dict[str, Sample]] = field(default_factory=dict)
    _done: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def has_room(self, pod: Pod, report: Report) -> bool:
        """Whether the memory has room for a report of a pod. It has for those of few streams."""
        more = report.size - self._sizes.get(pod.uid, 0)
        return more <= 0 or self.shares.may_take(pod.key.namespace, more)

    def record_probe(self, pod: Pod, report: Report) -> ReportChange:
        """Stores a report and returns what changed."""
        before = self.probes.get(pod.uid, ProbeResult())
        if before.report and before.report.epoch != report.epoch:
            self._keep(pod, before.report)
        self.probes[pod.uid] = ProbeResult(report)
        self._keep_positions(pod, report)
        self._measure(pod.key, pod.uid)
        if before.problem or before.report is None or before.report.condition_inputs != report.condition_inputs:
            return "conditions"
        return "nothing" if before.report == report else "counters"

    def record_failure(self, pod: Pod, problem: str, now: float) -> bool:
        """Stores a failed probe; whether it is the first failure in a row."""
        before = self.probes.get(pod.uid, ProbeResult())
        self.probes[pod.uid] = ProbeResult(before.report, problem, before.failing_since if before.problem else now)
        return not before.problem

    def record_termination(self, pod: Pod) -> None:
        """Keeps what a pod's termination messages say, since the pod may be gone within milliseconds.

        A pod that was already counted completely is ignored: it appears again after a late event. A message stays while
        the next container runs, which knows newer positions.
        """
        for message in pod.termination_messages:
            try:
                report = read_report(message)
            except ReportError:
                continue  # after a crash, the message is the end of the log
            is_newer = report.epoch >= self._epochs.get(pod.uid, "")
            if self._keep(pod, report) and is_newer:
                self._keep_positions(pod, report)

    def stopped(self, pod: Pod) -> None:
        """The container stopped, or the pod is gone, so its report is no longer current.

        Its counters are kept: a killed collector leaves no termination message.
        """
        probe = self.probes.pop(pod.uid, None)
        if probe and probe.report:
            self._keep(pod, probe.report)
        self._measure(pod.key, pod.uid)

    def samples(self, key: Key, pods: Iterable[Pod]) -> list[Sample]:
        """The newest sample of each epoch of a resource."""
        reports = [(pod, probe.report) for pod in pods if (probe := self.probes.get(pod.uid)) and probe.report]
        live = [_sample(pod, report) for pod, report in reports if report.epoch.startswith(f"{pod.uid}/")]
        return [*self._final.get(key, {}).values(), *live]

    def drop_stored(
        self, key: Key, stored: CounterState, pods: Collection[str], finished: Collection[str] = ()
    ) -> None:
        """Drops final samples that the stored status contains. The UIDs are those of `fold`."""
        for sample in [*self._final.get(key, {}).values()]:
            if adds_nothing(stored, sample, pods, finished):
                del self._final[key][sample.epoch]
                if sample.uid not in pods:
                    self._forget_pod(sample.uid)
        if not self._final.get(key, True):
            del self._final[key]

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self._final.pop(key, None)
        for uid in self.positions.pop(key, {}):
            self._epochs.pop(uid, None)
            self._measure(key, uid)

    def _keep(self, pod: Pod, report: Report) -> bool:
        """Keeps the counters of a report; false for one that does not count."""
        if pod.uid in self._done or not report.epoch.startswith(f"{pod.uid}/"):
            return False
        sample, final = _sample(pod, report), self._final.setdefault(pod.key, {})
        known = final.get(sample.epoch, sample).counters
        final[sample.epoch] = replace(sample, counters=known.latest(sample.counters))
        return True

    def _keep_positions(self, pod: Pod, report: Report) -> None:
        if report.positions and report.epoch.startswith(f"{pod.uid}/"):
            self.positions.setdefault(pod.key, {})[pod.uid] = report.positions
            self._epochs[pod.uid] = report.epoch

    def drop_positions(self, key: Key, pods: Collection[str]) -> None:
        """Drops the positions of pods that are gone. `pods` are the UIDs of the existing pods."""
        positions = self.positions.get(key, {})
        for uid in positions.keys() - set(pods):
            del positions[uid]
            self._epochs.pop(uid, None)
            self._measure(key, uid)
        if not positions:
            self.positions.pop(key, None)

    def _measure(self, key: Key, uid: str) -> None:
        """Notes the memory that is used for a pod."""
        probe, positions = self.probes.get(uid), self.positions.get(key, {}).get(uid, "")
        size = probe.report.size if probe and probe.report else max(0, len(positions) - SMALL)
        before = self._sizes.pop(uid, 0)
        if size:
            self._sizes[uid] = size
        self.shares.take(key.namespace, size)
        self.shares.release(key.namespace, before)

    def _forget_pod(self, uid: str) -> None:
        self._done[uid] = None
        while len(self._done) > _MAX_FINISHED_PODS:
            self._done.popitem(last=False)


def _sample(pod: Pod, report: Report) -> Sample:
    return Sample(report.epoch, pod.shard, pod.name, report.counters, pod.is_finished)
