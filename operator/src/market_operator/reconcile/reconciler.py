"""Reconciles one resource: observe, build the desired state, diff, apply, write the status.

It is level-triggered: each reconcile looks at everything, and a second one over the same state writes nothing.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from market_operator.cluster.actions import Action, Apply, Delete
from market_operator.cluster.client import Cluster
from market_operator.errors import ApiError, SpecError
from market_operator.manifests.build import build_desired_state
from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.cache import Cache, Observed, name_of
from market_operator.observed.collectors import Collectors
from market_operator.observed.counters import CounterState, fold, read_counter_state
from market_operator.reconcile.event_recorder import EventRecorder
from market_operator.reconcile.plan import plan
from market_operator.resource.document import Document, Resource, read_resource
from market_operator.resource.naming import SHARD_LABEL, Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.status_budget import StatusBudget
from market_operator.settings import Settings
from market_operator.status.build import new_status, stored_conditions
from market_operator.status.patch import change
from market_operator.status.snapshot import Failure, Snapshot
from market_operator.telemetry.metrics import Metrics
from market_spec.durations import seconds

logger = logging.getLogger(__name__)
# Added to waits for a point in time, so that it has passed.
_MARGIN_S = 0.1
# When a deletion is checked if its event has not arrived.
_RECHECK_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Requeue:
    """The next reconcile: in `after` seconds, or at the next event if None.

    If `failed`, it comes with backoff, but not before `retry_after` seconds (Retry-After of the API server).
    """

    after: float | None = None
    failed: bool = False
    retry_after: float = 0.0

    def at_most(self, after: float) -> "Requeue":
        """The same, but in `after` seconds at the latest."""
        return replace(self, after=min(after, self.after or after))


@dataclass(slots=True)
class Reconciler:
    """Reconciles resources. `health` holds the last health of each, for the metrics."""

    cluster: Cluster
    cache: Cache
    collectors: Collectors
    poll_schedule: PollSchedule
    status_budget: StatusBudget
    settings: Settings
    metrics: Metrics
    event_recorder: EventRecorder
    health: dict[Key, str] = field(default_factory=dict)

    async def reconcile(self, key: Key, now: float) -> Requeue:
        """Applies the desired state of one resource and writes its status.

        Raises:
            ApiError: the resource could not be read, or its status could not be written.
        """
        document = await self.cluster.read(key)
        if document is None:  # without an event so far, so the answer may be wrong
            return self.forget(key).at_most(_RECHECK_AFTER_S)
        resource = read_resource(document)
        if resource.is_deleting or not self.settings.selector.matches(resource.labels):
            return self.forget(key)
        desired, invalid = self._desire(resource)
        actions = self._plan(key, desired) if desired else ()
        failures = [failure for action in actions if (failure := await self._try(action))]
        observed = self.cache.observe(key)
        snapshot = self._snapshot(resource, observed, desired, invalid, failures, now)
        requeue = await self._write_status(resource, snapshot, self._count(resource, observed))
        return requeue.at_most(_RECHECK_AFTER_S) if _deletes(actions) and not requeue.failed else requeue

    def forget(self, key: Key) -> Requeue:
        """Forgets a resource that is gone, terminating, or another operator's."""
        self.collectors.forget(key)
        self.status_budget.forget(key)
        self.event_recorder.forget(key)
        self.health.pop(key, None)
        self.poll_schedule.forget(key)
        return Requeue()

    def _desire(self, resource: Resource) -> tuple[DesiredState | None, str]:
        try:
            desired = build_desired_state(resource, self.settings.collector_image, self.settings.traffic)
        except SpecError as error:
            return None, str(error)
        self.poll_schedule.request(resource.key, seconds(desired.spec.health_check_interval))
        return desired, ""

    def _plan(self, key: Key, desired: DesiredState) -> tuple[Action, ...]:
        actions = plan(self.cache.observe(key), desired)
        differ = {name_of(action.manifest) for action in actions if isinstance(action, Apply)}
        self.cache.mark_applied(key, {name_of(child) for child in desired.children} - differ)
        return actions

    async def _try(self, action: Action) -> Failure | None:
        kind, name = _object_of(action)
        verb = "apply" if isinstance(action, Apply) else "delete"
        try:
            after = await self.cluster.run(action)
        except ApiError as error:
            if error.is_namespace_gone:  # the resource is about to be deleted as well
                return None
            self.metrics.writes.labels(verb, kind, "failed").inc()
            logger.warning("could not %s %s %s: %s", verb, kind, name, error)
            return Failure(f"{kind} {name}", _describe_error(error, action))
        self.metrics.writes.labels(verb, kind, "done").inc()
        if after is not None:
            self.cache.put(kind, after, is_settled=True)
        return None

    def _count(self, resource: Resource, observed: Observed) -> CounterState:
        stored = read_counter_state(resource.status.get("shardStatuses", ()))
        uids = {pod.uid for pod in observed.pods} | self._possibly_running(resource, stored)
        self.collectors.drop_stored(resource.key, stored, uids)
        return fold(stored, self.collectors.samples(resource.key, observed.pods), uids)

    def _possibly_running(self, resource: Resource, stored: CounterState) -> set[str]:
        """UIDs that a stored status counts, of pods newer than the cache: their epochs stay open."""
        key, version = resource.key, int(resource.resource_version)
        return {epoch.uid for epoch in stored.epochs if self.cache.may_exist(epoch.uid, key.namespace, version)}

    def _snapshot(
        self,
        resource: Resource,
        observed: Observed,
        desired: DesiredState | None,
        invalid: str,
        failures: Iterable[Failure],
        now: float,
    ) -> Snapshot:
        return Snapshot(
            desired=desired,
            invalid=invalid,
            deployments=_deployments(observed),
            pods=observed.pods,
            probes=self.collectors.probes,
            failures=tuple(failures),
            before=stored_conditions(resource),
            now=now,
        )

    async def _write_status(self, resource: Resource, snapshot: Snapshot, counters: CounterState) -> Requeue:
        """Writes the changed status: at once, or within the budget if only counters changed."""
        status = new_status(resource, snapshot, counters)
        self.health[resource.key] = status["health"]
        needed = change(resource.status, status)
        retry_after = max((failure.error.retry_after for failure in snapshot.failures), default=0.0)
        requeue = Requeue(_requeue_after(snapshot), bool(snapshot.failures), retry_after)
        if not needed.patch:
            return requeue
        if needed.is_counting and (wait := self._wait(resource.key, snapshot.now)):
            return requeue.at_most(wait)
        try:
            await self.cluster.write_status(resource, needed.patch)
        except ApiError as error:
            if not (error.is_conflict or error.is_not_found):
                raise
            # The next reconcile reads the current state. Backoff, because two writers may race.
            return replace(requeue, failed=True)
        self.status_budget.wrote(resource.key, snapshot.now)
        self.metrics.status_updates.labels("counters" if needed.is_counting else "conditions").inc()
        await self.event_recorder.create_event(resource, status["conditions"], snapshot.now)
        return requeue

    def _wait(self, key: Key, now: float) -> float:
        return self.status_budget.wait(key, now) or self.status_budget.slot(key, now)


def _requeue_after(snapshot: Snapshot) -> float | None:
    return None if snapshot.expires_in is None else snapshot.expires_in + _MARGIN_S


def _deployments(observed: Observed) -> dict[int, Document]:
    found = [child for (kind, _), child in observed.children.items() if kind == "Deployment"]
    shards = [(child["metadata"].get("labels", {}).get(SHARD_LABEL, ""), child) for child in found]
    return {int(shard): child for shard, child in shards if shard.isdigit()}


def _deletes(actions: Iterable[Action]) -> bool:
    return any(isinstance(action, Delete) for action in actions)


def _object_of(action: Action) -> tuple[str, str]:
    if isinstance(action, Apply):
        return action.manifest["kind"], action.manifest["metadata"]["name"]
    return action.kind, action.name


def _describe_error(error: ApiError, action: Action) -> ApiError:
    """A conflict on a new object means that the name is taken by an object of another owner."""
    if not (error.is_conflict and isinstance(action, Apply) and action.is_new):
        return error
    return ApiError(
        error.status, "NameTaken", "an object of this name exists and is not the operator's. Rename one of them"
    )
