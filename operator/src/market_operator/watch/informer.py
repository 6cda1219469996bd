"""What to do with news of an object, whether an event or a listing brought it: remember it, and queue its resource."""

from dataclasses import dataclass, field

from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.pods import Pod, owner_key, read_pod
from market_operator.resource.document import Document
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import WorkQueue


@dataclass(slots=True)
class Informer:
    """The way in for all news. `seen` tells which resources are known, by what a pass depends on."""

    store: Cache
    observations: Collectors
    queue: WorkQueue
    rounds: PollSchedule
    seen: dict[Key, tuple[str, int, bool]] = field(default_factory=dict)

    def resource(self, document: Document) -> None:
        """A resource exists. Its status is ours, so a change of that alone is no news."""
        meta = document["metadata"]
        key = Key.of(meta["namespace"], meta["name"])
        state = meta["uid"], meta.get("generation", 0), "deletionTimestamp" in meta
        if self.seen.get(key) != state:
            self.seen[key] = state
            self.queue.add(key, is_urgent=True)

    def resource_gone(self, key: Key) -> None:
        """A resource exists no more; one last pass forgets it."""
        if self.seen.pop(key, None):
            self.queue.forget(key)
            self.queue.add(key, is_urgent=True)

    def child(self, kind: str, document: Document, now: float) -> None:
        """A child or pod exists."""
        if not self.store.put(kind, document):
            return
        if kind == "Pod":
            self._pod(read_pod(document), now)
        self.queue.add(owner_key(document))

    def child_gone(self, kind: str, document: Document) -> None:
        """A child or pod exists no more."""
        if kind == "Pod":
            self._last_news(document)
        self.store.drop(kind, document)
        self.queue.add(owner_key(document))

    def act_on_all(self, now: float) -> None:
        """From now on this instance acts: every resource is due for a pass, and every pod for a look."""
        for key in self.seen:
            self.queue.add(key, is_urgent=True)
        for pod in [*self.store.pods()]:
            self._pod(pod, now)

    def _pod(self, pod: Pod, now: float) -> None:
        self.observations.record_termination(pod)
        if pod.is_running and not pod.is_terminating:
            self.rounds.look_by(pod.key, pod.uid, now)
        elif not pod.is_running:
            self.observations.stopped(pod)
            self.rounds.skip(pod.uid)

    def _last_news(self, document: Document) -> None:
        """The pod is gone: what it said last counts; of a pod found missing in a listing we know the record alone."""
        known = self.store.pod(owner_key(document), document["metadata"]["uid"])
        told = read_pod(document) if "status" in document else None
        for pod in (told, known):
            if pod:
                self.observations.record_termination(pod)
                self.observations.stopped(pod)
        self.rounds.skip(document["metadata"]["uid"])
