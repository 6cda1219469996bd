"""The picture of one resource: all that its conditions are made from, and what follows from the time of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from market_operator.errors import ApiError
from market_operator.manifests.wanted import DesiredState
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.document import Document
from market_operator.status.diagnosis import settles_in
from market_operator.status.reasons import ConditionState, Reason

# A pod that cannot be read is believed to be as its last report said for this long (seconds): one lost packet or a
# busy moment is no news.
BELIEVED_FOR = 10.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A write that failed: of what ("Deployment okx-0"), and why."""

    what: str
    error: ApiError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the conditions are made from.

    `wanted` is None when the spec is invalid, and `invalid` says why. `now` is in seconds since 1970. `before` holds
    the stored conditions of this same generation by type, since some truths outlast a moment without reports.
    """

    wanted: DesiredState | None
    invalid: str
    deployments: Mapping[int, Document]
    pods: tuple[Pod, ...]
    looks: Mapping[str, ProbeResult]
    failures: tuple[Failure, ...]
    before: Mapping[str, ConditionState]
    now: float

    def pods_of(self, shard: int) -> list[Pod]:
        """The pods of a shard that are not going."""
        return [pod for pod in self.pods if pod.shard == shard and not pod.is_terminating]

    def reports_of(self, shard: int) -> list[Report]:
        """What is known of a shard's running pods, of every version."""
        return [report for pod in self.pods_of(shard) if pod.is_running and (report := self._believed(pod.uid))]

    @property
    def unseen(self) -> bool:
        """Whether a running pod has yet to be read, as after a start of the operator.

        What was told of this generation stands until then: not having looked yet is no news.
        """
        running = [pod for shard in self.shards for pod in self.pods_of(shard) if pod.is_running]
        return any(self._is_unread(pod.uid) for pod in running)

    @property
    def expires_in(self) -> float | None:
        """Seconds until time alone changes the picture.

        Until a report that cannot be renewed is no longer believed, or a container that crashed is again.
        """
        looks = [self.looks.get(pod.uid, ProbeResult()) for pod in self.pods if pod.is_running]
        waits = [look.failing_since + BELIEVED_FOR - self.now for look in looks if look.problem]
        settling = [wait for pod in self.pods if (wait := settles_in(pod, self.now))]
        return min((wait for wait in (*waits, *settling) if wait >= 0), default=None)

    @property
    def is_retrying(self) -> bool:
        """Whether writes failed, and all for reasons that pass: they are tried again without anybody's help."""
        return bool(self.failures) and all(failure.error.is_retryable for failure in self.failures)

    def unreachable(self, shard: int) -> list[tuple[Pod, ProbeResult]]:
        """The running pods of a shard that can no longer be read, or never could."""
        looks = [(pod, self.looks.get(pod.uid)) for pod in self.pods_of(shard) if pod.is_running]
        return [(pod, look) for pod, look in looks if look and self._is_given_up(look)]

    @property
    def shards(self) -> range:
        """The wanted shards."""
        return range(len(self.wanted.templates) if self.wanted else 0)

    @property
    def reports(self) -> list[Report]:
        """What is known of all running pods of the wanted shards."""
        return [report for shard in self.shards for report in self.reports_of(shard)]

    @property
    def is_suspended(self) -> bool:
        """Whether no collector shall run."""
        return self.wanted is not None and self.wanted.spec.suspend

    def _believed(self, uid: str) -> Report | None:
        look = self.looks.get(uid, ProbeResult())
        return None if self._is_given_up(look) else look.report

    def _is_unread(self, uid: str) -> bool:
        look = self.looks.get(uid, ProbeResult())
        return look.report is None and not self._is_given_up(look)

    def _is_given_up(self, look: ProbeResult) -> bool:
        return bool(look.problem) and self.now - look.failing_since > BELIEVED_FOR


def not_desired() -> ConditionState:
    return ConditionState("Unknown", Reason.INVALID_SPEC, "No collector is wanted while the spec is not valid")


def not_reported(picture: Snapshot) -> ConditionState:
    lost = [found for shard in picture.shards for found in picture.unreachable(shard)]
    if lost:
        pod, look = lost[0]
        message = f"Could not look at pod {pod.name}: {look.problem}"
        return ConditionState("Unknown", Reason.COLLECTOR_UNREACHABLE, message)
    return ConditionState("Unknown", Reason.PENDING, "Not all collectors have reported yet")


def all_shards_report(picture: Snapshot) -> bool:
    return bool(picture.shards) and all(picture.reports_of(shard) for shard in picture.shards)
