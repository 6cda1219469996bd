"""Everything that the conditions of one resource are computed from, at one moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from market_operator.errors import ApiError
from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.document import Document
from market_operator.scheduling.contests import Contest
from market_operator.status.diagnosis import Run, seconds_until_trusted
from market_operator.status.reasons import ConditionState, Reason

# Seconds for which the last report of an unreachable pod still counts, since one lost packet proves nothing.
TRUST_REPORT_FOR_S = 10.0
# Seconds for which a pod that failed, such as by an eviction, is part of the conditions.
REMEMBER_FAILURE_FOR_S = 600.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed write: the object ("Deployment okx-0") and the error."""

    what: str
    error: ApiError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The input of every condition.

    `desired` is None when the spec is invalid or not allowed; `invalid` then holds the error, and `invalid_reason` says
    which of both it is. `probes` are keyed by pod UID. `before` holds the stored conditions of the same generation by
    type. `now` is in seconds since 1970. `paused` names the objects that a paused resource does not write (None: it is
    not paused). `contests` are objects that another writer keeps changing.
    """

    desired: DesiredState | None
    invalid: str
    deployments: Mapping[int, Document]
    pods: tuple[Pod, ...]
    probes: Mapping[str, ProbeResult]
    failures: tuple[Failure, ...]
    before: Mapping[str, ConditionState]
    now: float
    paused: tuple[str, ...] | None = None
    contests: tuple[Contest, ...] = ()
    invalid_reason: str = Reason.INVALID_SPEC

    def pods_of(self, shard: int) -> list[Pod]:
        """Pods of a shard that are not terminating."""
        return [pod for pod in self.pods if pod.shard == shard and not pod.is_terminating]

    def only(self, is_kept: Callable[[Pod], bool]) -> "Snapshot":
        """The same with some of the pods."""
        return replace(self, pods=tuple(pod for pod in self.pods if is_kept(pod)))

    def is_current(self, pod: Pod) -> bool:
        """Whether a pod is of the desired version of its shard."""
        assert self.desired
        return pod.shard in self.shards and pod.template == self.desired.templates[pod.shard]

    def reports_of(self, shard: int) -> list[Report]:
        """Trusted reports of the running pods of a shard, old and new ones."""
        return [report for pod in self.pods_of(shard) if pod.is_running and (report := self._trusted_report(pod.uid))]

    @property
    def has_unprobed_pods(self) -> bool:
        """Whether a running pod has not been probed yet, as after a start of the operator.

        Until then, the stored conditions of this generation stay.
        """
        running = [pod for shard in self.shards for pod in self.pods_of(shard) if pod.is_running]
        return any(self._is_unprobed(pod.uid) for pod in running)

    @property
    def expires_in(self) -> float | None:
        """Seconds until a condition may change without an event; None if none can.

        Either an unreachable pod's report expires, a restarted container is trusted again, or a failed pod is old.
        """
        probes = [self.probes.get(pod.uid, ProbeResult()) for pod in self.pods if pod.is_running]
        waits = [probe.failing_since + TRUST_REPORT_FOR_S - self.now for probe in probes if probe.problem]
        runs: list[Run] = [*self.pods, *(other for pod in self.pods for other in pod.others)]
        settling = [wait for run in runs if (wait := seconds_until_trusted(run, self.now))]
        ends = [contest.ends - self.now for contest in self.contests]
        failures = [pod.failed_at + REMEMBER_FAILURE_FOR_S - self.now for pod in self.pods if pod.failed]
        return min((wait for wait in (*waits, *settling, *ends, *failures) if wait >= 0), default=None)

    @property
    def is_retrying(self) -> bool:
        """Whether writes failed, and all of them will be retried."""
        return bool(self.failures) and all(failure.error.is_retryable for failure in self.failures)

    def unreachable(self, shard: int) -> list[tuple[Pod, ProbeResult]]:
        """Running pods of a shard that do not answer probes, with the last probe of each."""
        probes = [(pod, self.probes.get(pod.uid)) for pod in self.pods_of(shard) if pod.is_running]
        return [(pod, probe) for pod, probe in probes if probe and self._is_unreachable(probe)]

    @property
    def shards(self) -> range:
        """Numbers of the desired shards."""
        return range(len(self.desired.templates) if self.desired else 0)

    @property
    def reports(self) -> list[Report]:
        """Trusted reports of all desired shards."""
        return [report for shard in self.shards for report in self.reports_of(shard)]

    @property
    def is_suspended(self) -> bool:
        """Whether spec.suspend is true."""
        return self.desired is not None and self.desired.spec.suspend

    def _trusted_report(self, uid: str) -> Report | None:
        probe = self.probes.get(uid, ProbeResult())
        return None if self._is_unreachable(probe) else probe.report

    def _is_unprobed(self, uid: str) -> bool:
        probe = self.probes.get(uid, ProbeResult())
        return probe.report is None and not self._is_unreachable(probe)

    def _is_unreachable(self, probe: ProbeResult) -> bool:
        return bool(probe.problem) and self.now - probe.failing_since > TRUST_REPORT_FOR_S


def no_desired_state(snapshot: Snapshot) -> ConditionState:
    """The state of a condition that cannot be computed because the spec is invalid or not allowed."""
    kind = "an invalid spec" if snapshot.invalid_reason == Reason.INVALID_SPEC else "a spec that is not allowed"
    return ConditionState("Unknown", snapshot.invalid_reason, f"Nothing is built from {kind}")


def not_reported(snapshot: Snapshot) -> ConditionState:
    """The state of a condition that lacks a report, with the reason why."""
    lost = [found for shard in snapshot.shards for found in snapshot.unreachable(shard)]
    if lost:
        pod, probe = lost[0]
        message = f"Could not probe pod {pod.name}: {probe.problem}"
        return ConditionState("Unknown", Reason.COLLECTOR_UNREACHABLE, message)
    return ConditionState("Unknown", Reason.PENDING, "Not all collectors have reported yet")


def all_shards_report(snapshot: Snapshot) -> bool:
    """Whether at least one pod of every desired shard has a trusted report."""
    return bool(snapshot.shards) and all(snapshot.reports_of(shard) for shard in snapshot.shards)
