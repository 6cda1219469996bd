"""The next probe of each pod. Pure, with time as an argument.

New, unready and unhealthy pods are probed every two seconds. Healthy ones are probed every ten seconds, or at
spec.healthCheckInterval if that is shorter. Both intervals grow with the number of pods, to limit the rate of all
probes. They do not grow in a namespace that has fewer pods than its share.

A pod whose probes fail is probed after 2, 4, 8, 16 and then 30 s. A pod whose readiness changes is probed at once,
because the change arrives as an event. Among the pods that are due, namespaces take turns, and so do the resources of
one.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from market_operator.resource.naming import Key
from market_operator.scheduling.slots import Slots
from market_operator.scheduling.turns import Turns

UNHEALTHY_INTERVAL_S = 2.0
LONGEST_FAILING_INTERVAL_S = 30.0
HEALTHY_INTERVAL_S = 10.0
HEALTHY_PER_SECOND = 40
UNHEALTHY_PER_SECOND = 100
DEFAULT_REQUESTED_S = 30.0


def interval(is_healthy: bool, requested: float, pods: int) -> float:
    """Seconds until the next probe. `requested` is spec.healthCheckInterval, `pods` the number of scheduled pods."""
    if not is_healthy:
        return max(UNHEALTHY_INTERVAL_S, pods / UNHEALTHY_PER_SECOND)
    return max(min(requested, HEALTHY_INTERVAL_S), pods / HEALTHY_PER_SECOND)


def failing_interval(failures: int, pods: int) -> float:
    """Seconds until the next probe of a pod after `failures` failed ones in a row."""
    backoff = min(UNHEALTHY_INTERVAL_S * 2.0 ** min(failures - 1, 4), LONGEST_FAILING_INTERVAL_S)
    return max(backoff, interval(False, DEFAULT_REQUESTED_S, pods))


@dataclass(slots=True)
class PollSchedule:
    """The next probe of each pod, by UID, and the requested interval of each resource. Times are of one clock."""

    _due: dict[str, tuple[float, Key]] = field(default_factory=dict)
    _heap: list[tuple[float, str]] = field(default_factory=list)
    _pods: Counter[str] = field(default_factory=Counter)
    _requested: dict[Key, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    # The pods that are due, and the resources that have some.
    _ready: dict[Key, deque[tuple[float, str]]] = field(default_factory=dict)
    _turns: Turns = field(default_factory=Turns)

    def request(self, key: Key, seconds: float, pods: Iterable[str] = (), now: float = 0.0) -> None:
        """Sets spec.healthCheckInterval of a resource. A shorter one counts from now on for its pods, given by UID.

        A pod's first probe may come before the resource is known, so that its next one is due by the longest interval.
        """
        is_shorter = seconds < self._requested.get(key, DEFAULT_REQUESTED_S)
        self._requested[key] = seconds
        if not is_shorter:
            return
        when = now + interval(True, seconds, self._pods_beside(key))
        for uid in pods:
            if uid in self._due and uid not in self._failures:
                self.probe_by(key, uid, when)

    def forget(self, key: Key) -> None:
        """Forgets the requested interval of a resource."""
        self._requested.pop(key, None)

    def probe_again(self, key: Key, uid: str, now: float, is_healthy: bool) -> None:
        """Schedules the next probe of a pod that answered."""
        self._failures.pop(uid, None)
        requested = self._requested.get(key, DEFAULT_REQUESTED_S)
        self.probe_by(key, uid, now + interval(is_healthy, requested, self._pods_beside(key)))

    def probe_after_failure(self, key: Key, uid: str, now: float) -> None:
        """Schedules the next probe of a pod whose probe failed."""
        failures = self._failures[uid] = self._failures.get(uid, 0) + 1
        self.probe_by(key, uid, now + failing_interval(failures, self._pods_beside(key)))

    def probe_by(self, key: Key, uid: str, when: float) -> None:
        """Schedules a probe at `when`, unless one is due earlier."""
        planned = self._due.get(uid)
        if planned is None or planned[0] > when:
            self._pods[key.namespace] += planned is None
            self._due[uid] = when, key
            heapq.heappush(self._heap, (when, uid))

    def skip(self, uid: str) -> None:
        """Cancels the next probe of a pod."""
        self._unschedule(uid)
        self._failures.pop(uid, None)

    def take(self, now: float, slots: Slots | None = None) -> tuple[Key, str] | None:
        """A pod that is due and may take one of `slots`, which is then no longer scheduled; None without one."""
        self._collect(now)
        while found := self._next(slots):
            key, _ = found
            pods = self._ready[key]
            entry = pods.popleft()
            if pods:
                self._turns.add(key, now)
            else:
                del self._ready[key]
            if self._is_current(entry):
                self._unschedule(entry[1])
                return key, entry[1]
        return None

    def next_due(self) -> float | None:
        """Time at which the next pod becomes due; None if none does."""
        while self._heap and not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _next(self, slots: Slots | None) -> tuple[Key, float] | None:
        if slots is None:
            return self._turns.take()
        return self._turns.take(slots.is_open, slots.may_take) if slots.free else None

    def _collect(self, now: float) -> None:
        """Gives the pods that are due their turns."""
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if not self._is_current(entry):
                continue
            _, key = self._due[entry[1]]
            if key not in self._ready:
                self._ready[key] = deque()
                self._turns.add(key, now)
            self._ready[key].append(entry)

    def _pods_beside(self, key: Key) -> int:
        """Number of pods that share the rate with a pod of `key`, if each namespace has as many as its own or fewer."""
        namespaces = len(self._pods) + (key.namespace not in self._pods)
        return min(len(self) + 1, (self._pods[key.namespace] + 1) * namespaces)

    def _unschedule(self, uid: str) -> None:
        if planned := self._due.pop(uid, None):
            namespace = planned[1].namespace
            self._pods[namespace] -= 1
            if not self._pods[namespace]:
                del self._pods[namespace]

    def _is_current(self, entry: tuple[float, str]) -> bool:
        """Whether a pod is still scheduled for this time."""
        planned = self._due.get(entry[1])
        return planned is not None and planned[0] == entry[0]

    def __len__(self) -> int:
        return len(self._due)
