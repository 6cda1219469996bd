"""The next probe of each pod. Pure, with time as an argument.

New, unready and unhealthy pods are probed every two seconds. Healthy ones are probed every ten seconds, or at
spec.healthCheckInterval if that is shorter. Both intervals grow with the number of pods, to limit the rate of all
probes. A pod whose readiness changes is probed at once, because the change arrives as an event.
"""

import heapq
from dataclasses import dataclass, field

from market_operator.resource.naming import Key

UNHEALTHY_INTERVAL_S = 2.0
HEALTHY_INTERVAL_S = 10.0
HEALTHY_PER_SECOND = 40
UNHEALTHY_PER_SECOND = 100
DEFAULT_REQUESTED_S = 30.0


def interval(is_healthy: bool, requested: float, pods: int) -> float:
    """Seconds until the next probe. `requested` is spec.healthCheckInterval, `pods` the number of scheduled pods."""
    if not is_healthy:
        return max(UNHEALTHY_INTERVAL_S, pods / UNHEALTHY_PER_SECOND)
    return max(min(requested, HEALTHY_INTERVAL_S), pods / HEALTHY_PER_SECOND)


@dataclass(slots=True)
class PollSchedule:
    """The next probe of each pod, by UID, and the requested interval of each resource. Times are of one clock."""

    _due: dict[str, tuple[float, Key]] = field(default_factory=dict)
    _heap: list[tuple[float, str]] = field(default_factory=list)
    _requested: dict[Key, float] = field(default_factory=dict)

    def request(self, key: Key, seconds: float) -> None:
        """Sets spec.healthCheckInterval of a resource."""
        self._requested[key] = seconds

    def forget(self, key: Key) -> None:
        """Forgets the requested interval of a resource."""
        self._requested.pop(key, None)

    def probe_again(self, key: Key, uid: str, now: float, is_healthy: bool) -> None:
        """Schedules the next probe of a pod that was just probed."""
        requested = self._requested.get(key, DEFAULT_REQUESTED_S)
        self.probe_by(key, uid, now + interval(is_healthy, requested, len(self)))

    def probe_by(self, key: Key, uid: str, when: float) -> None:
        """Schedules a probe at `when`, unless one is due earlier."""
        planned = self._due.get(uid)
        if planned is None or planned[0] > when:
            self._due[uid] = when, key
            heapq.heappush(self._heap, (when, uid))

    def skip(self, uid: str) -> None:
        """Cancels the next probe of a pod."""
        self._due.pop(uid, None)

    def take(self, now: float) -> tuple[Key, str] | None:
        """A pod that is due, which is then no longer scheduled; None if none is due."""
        while self._heap and self._heap[0][0] <= now:
            when, uid = heapq.heappop(self._heap)
            planned = self._due.get(uid)
            if planned and planned[0] == when:
                del self._due[uid]
                return planned[1], uid
        return None

    def next_due(self) -> float | None:
        """Time at which the next pod is due; None if none is scheduled."""
        while self._heap and self._due.get(self._heap[0][1], (None,))[0] != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._due)
