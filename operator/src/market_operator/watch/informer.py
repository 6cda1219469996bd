"""Turns events and listed objects into observed state and queued work."""

from dataclasses import dataclass

from market_operator.errors import ObjectError
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.ownership import owner_key
from market_operator.observed.pods import Pod, read_pod, unreadable_pod
from market_operator.observed.registry import Registry
from market_operator.resource.document import Document
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import OVERWRITTEN_DELAY, WorkQueue
from market_operator.telemetry.containment import Containment


@dataclass(slots=True)
class Informer:
    """Keeps cache and registry current. Only the leader queues work, schedules probes and counts termination messages.

    A standby would count termination messages a second time after a takeover.
    """

    cache: Cache
    registry: Registry
    collectors: Collectors
    queue: WorkQueue
    poll_schedule: PollSchedule
    containment: Containment
    is_leading: bool = False

    def resource(self, document: Document) -> None:
        """A custom resource exists, as `document` says; its metadata is enough."""
        meta = document["metadata"]
        key, is_changed = Key.of(meta["namespace"], meta["name"]), self.registry.update(document)
        if not self.is_leading:
            return
        if is_changed:
            self.queue.add(key, is_urgent=True)
        elif self.registry.is_overwritten(document, self.queue.is_in_work(key)):
            self.queue.add_after(key, OVERWRITTEN_DELAY)

    def resource_gone(self, key: Key) -> None:
        """A custom resource is gone. One last reconcile forgets it."""
        if self.registry.remove(key) and self.is_leading:
            self.queue.forget(key)
            self.queue.add(key, is_urgent=True)

    def requeue(self, namespace: str | None) -> None:
        """The resources of a namespace (None: of all) can be served again, so they need not wait for their retries."""
        if self.is_leading:
            for key in self.registry.keys(namespace):
                self.queue.add(key, is_urgent=True)

    def child(self, kind: str, document: Document, now: float) -> None:
        """A managed object or a pod exists, as `document` says."""
        is_new = self._pod(document, now) if kind == "Pod" else self.cache.put(kind, document)
        if is_new and self.is_leading:
            self.queue.add(owner_key(document))

    def child_gone(self, kind: str, document: Document) -> None:
        """A managed object or a pod is gone. A listing that lacks it knows only its metadata."""
        if kind == "Pod" and self.is_leading:
            self._record_last_state(document)
        self.cache.drop(kind, document)
        if self.is_leading:
            self.queue.add(owner_key(document))

    def lead(self, now: float) -> None:
        """From now on, this instance reconciles: every resource is queued, and every pod is due for a probe."""
        self.is_leading = True
        for key in self.registry:
            self.queue.add(key, is_urgent=True)
        for pod in [*self.cache.pods()]:
            with self.containment.of("Pod", pod.key.namespace, pod.name):
                self._act_on(pod, now)

    def _pod(self, document: Document, now: float) -> bool:
        try:
            return self._put_pod(read_pod(document), now)
        except ObjectError as error:
            pod = unreadable_pod(document)
            is_new = self._put_pod(pod, now)
            if is_new and pod.is_owned:
                problem = self.containment.report("Pod", pod.key.namespace, pod.name, error)
                self.collectors.record_failure(pod, f"its object cannot be read: {problem}", now)
            return is_new

    def _put_pod(self, pod: Pod, now: float) -> bool:
        known = self.cache.pod(pod.key, pod.uid)
        is_new = self.cache.put_pod(pod)
        if is_new and self.is_leading:
            self._act_on(pod, now) if pod.is_owned else self._release(known)
        return is_new

    def _release(self, pod: Pod | None) -> None:
        """Counts the last report of a pod that is no longer the operator's."""
        if pod:
            self.collectors.stopped(pod)
            self.poll_schedule.skip(pod.uid)

    def _act_on(self, pod: Pod, now: float) -> None:
        self.collectors.record_termination(pod)
        if pod.is_running:
            self.poll_schedule.probe_by(pod.key, pod.uid, now)
        elif not pod.is_running:
            self.collectors.stopped(pod)
            self.poll_schedule.skip(pod.uid)

    def _record_last_state(self, document: Document) -> None:
        """Counts the last report and termination messages of a pod that is gone."""
        known = self.cache.pod(owner_key(document), document["metadata"]["uid"])
        for pod in (_last_state(document), known):
            if pod and pod.is_owned:
                self.collectors.record_termination(pod)
                self.collectors.stopped(pod)
        self.poll_schedule.skip(document["metadata"]["uid"])


def _last_state(document: Document) -> Pod | None:
    try:
        return read_pod(document) if "status" in document else None
    except ObjectError:
        return None
