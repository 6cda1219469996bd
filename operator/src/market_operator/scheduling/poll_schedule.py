"""When to look at which pod next. Pure scheduling, with time as an argument.

New, unready and unhealthy pods are looked at every two seconds; healthy ones every ten, or at spec.healthCheckInterval
when that is shorter. Looks cost, so in a fleet of thousands both are stretched to keep within a rate for all; a pod
whose readiness changes is looked at at once, because its change arrives as an event.
"""

import heapq
from dataclasses import dataclass, field

from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.naming import Key

SOON = 2.0
HEALTHY_AT_MOST = 10.0
HEALTHY_PER_SECOND = 40
UNHEALTHY_PER_SECOND = 100


def interval(pod: Pod, report: Report | None, wished: float, pods: int) -> float:
    """Seconds until the next look; `wished` is the spec's healthCheckInterval, `pods` the size of the fleet."""
    if report is None or report.health != "Healthy" or not pod.is_ready:
        return max(SOON, pods / UNHEALTHY_PER_SECOND)
    return max(min(wished, HEALTHY_AT_MOST), pods / HEALTHY_PER_SECOND)


@dataclass(slots=True)
class PollSchedule:
    """The next look at each pod, by UID; times in seconds of one clock."""

    _due: dict[str, tuple[float, Key]] = field(default_factory=dict)
    _heap: list[tuple[float, str]] = field(default_factory=list)

    def look_at(self, key: Key, uid: str, when: float) -> None:
        """Look at a pod at `when`, instead of whatever was planned."""
        self._due[uid] = when, key
        heapq.heappush(self._heap, (when, uid))

    def look_by(self, key: Key, uid: str, when: float) -> None:
        """Look at a pod at `when` or sooner."""
        planned = self._due.get(uid)
        if planned is None or planned[0] > when:
            self.look_at(key, uid, when)

    def skip(self, uid: str) -> None:
        """Do not look at a pod any more."""
        self._due.pop(uid, None)

    def take(self, now: float) -> tuple[Key, str] | None:
        """A pod that is due, which is then no longer planned; None when none is."""
        while self._heap and self._heap[0][0] <= now:
            when, uid = heapq.heappop(self._heap)
            planned = self._due.get(uid)
            if planned and planned[0] == when:
                del self._due[uid]
                return planned[1], uid
        return None

    def next_due(self) -> float | None:
        """When the next pod is due."""
        while self._heap and self._due.get(self._heap[0][1], (None,))[0] != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._due)
