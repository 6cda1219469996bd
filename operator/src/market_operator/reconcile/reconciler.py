"""One pass over one resource: observe, desire, plan, apply, tell. Level-triggered: it looks at everything, every time,
and a second pass over the same state writes nothing."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from market_operator.cluster.actions import Action, Apply, Delete
from market_operator.cluster.client import Cluster
from market_operator.errors import ApiError, SpecError
from market_operator.manifests.build import desired
from market_operator.manifests.wanted import DesiredState
from market_operator.observed.cache import Cache, Observed, name_of
from market_operator.observed.collectors import Collectors
from market_operator.observed.counters import CounterState, fold, read_counter_state
from market_operator.reconcile.event_recorder import EventRecorder
from market_operator.reconcile.plan import plan
from market_operator.resource.document import Document, Resource, read_resource
from market_operator.resource.naming import SHARD_LABEL, Key
from market_operator.scheduling.status_budget import StatusBudget
from market_operator.settings import Settings
from market_operator.status.build import new_status, stored_conditions
from market_operator.status.patch import change
from market_operator.status.snapshot import Failure, Snapshot
from market_operator.telemetry.metrics import Metrics
from market_spec.durations import seconds

logger = logging.getLogger(__name__)
# Seconds: long enough for a moment that was waited for to have passed.
_A_MOMENT = 0.1
# Seconds after which what was deleted, or said to be gone, is looked at again, unless its event comes before.
_CHECKED_AFTER = 5.0


@dataclass(frozen=True, slots=True)
class Requeue:
    """When to pass over the resource again: `after` seconds (None: when something happens), `failed`: with back-off,
    but not before `retry_after` seconds, when the API server asked for patience."""

    after: float | None = None
    failed: bool = False
    retry_after: float = 0.0

    def by(self, after: float) -> "Requeue":
        """The same, `after` seconds at the latest."""
        return replace(self, after=min(after, self.after or after))


@dataclass(slots=True)
class Reconciler:
    """What a pass needs; `health` and `intervals` (seconds between looks at healthy pods) are its notes for others."""

    cluster: Cluster
    store: Cache
    observations: Collectors
    pace: StatusBudget
    settings: Settings
    metrics: Metrics
    announcer: EventRecorder
    health: dict[Key, str] = field(default_factory=dict)
    intervals: dict[Key, float] = field(default_factory=dict)

    async def reconcile(self, key: Key, now: float) -> Requeue:
        """Brings everything of one resource in line with it, and its status with the truth.

        Raises:
            ApiError: when the resource could not be read, or its status not be written.
        """
        document = await self.cluster.read(key)
        if document is None:  # and no event has said so yet; it may be a slip
            return self.forget(key).by(_CHECKED_AFTER)
        resource = read_resource(document)
        if resource.is_deleting or not self.settings.selector.matches(resource.labels):
            return self.forget(key)
        wanted, invalid = self._desire(resource)
        actions = self._plan(key, wanted) if wanted else ()
        failures = [failure for action in actions if (failure := await self._try(action))]
        observed = self.store.observe(key)
        picture = self._picture(resource, observed, wanted, invalid, failures, now)
        again = await self._tell(resource, picture, self._count(resource, observed))
        return again.by(_CHECKED_AFTER) if _deletes(actions) and not again.failed else again

    def forget(self, key: Key) -> Requeue:
        """Nothing is built or told for what is gone or going (the garbage collector does the rest), or another's."""
        self.observations.forget(key)
        self.pace.forget(key)
        self.announcer.forget(key)
        self.health.pop(key, None)
        self.intervals.pop(key, None)
        return Requeue()

    def _desire(self, resource: Resource) -> tuple[DesiredState | None, str]:
        try:
            wanted = desired(resource, self.settings.collector_image, self.settings.traffic)
        except SpecError as error:
            return None, str(error)
        self.intervals[resource.key] = seconds(wanted.spec.health_check_interval)
        return wanted, ""

    def _plan(self, key: Key, wanted: DesiredState) -> tuple[Action, ...]:
        actions = plan(self.store.observe(key), wanted)
        differ = {name_of(action.manifest) for action in actions if isinstance(action, Apply)}
        self.store.settle(key, {name_of(child) for child in wanted.children} - differ)
        return actions

    async def _try(self, action: Action) -> Failure | None:
        kind, name = _what(action)
        verb = "apply" if isinstance(action, Apply) else "delete"
        try:
            after = await self.cluster.run(action)
        except ApiError as error:
            if error.is_namespace_terminating:  # so does the resource: its own deletion is a moment away
                return None
            self.metrics.writes.labels(verb, kind, "failed").inc()
            logger.warning("could not %s %s %s: %s", verb, kind, name, error)
            return Failure(f"{kind} {name}", _explained(error, action))
        self.metrics.writes.labels(verb, kind, "done").inc()
        if after is not None:
            self.store.put(kind, after, is_settled=True)
        return None

    def _count(self, resource: Resource, observed: Observed) -> CounterState:
        stored = read_counter_state(resource.status.get("shardStatuses", ()))
        uids = {pod.uid for pod in observed.pods} | self._unsure(resource, stored)
        self.observations.settle(resource.key, stored, uids)
        return fold(stored, self.observations.readings(resource.key, observed.pods), uids)

    def _unsure(self, resource: Resource, stored: CounterState) -> set[str]:
        """Pods that are not known, but counted by a status that is newer than what is known: to be summed up later."""
        key, version = resource.key, int(resource.resource_version)
        return {epoch.uid for epoch in stored.epochs if self.store.may_exist(epoch.uid, key.namespace, version)}

    def _picture(
        self,
        resource: Resource,
        observed: Observed,
        wanted: DesiredState | None,
        invalid: str,
        failures: Iterable[Failure],
        now: float,
    ) -> Snapshot:
        return Snapshot(
            wanted=wanted,
            invalid=invalid,
            deployments=_deployments(observed),
            pods=observed.pods,
            looks=self.observations.looks,
            failures=tuple(failures),
            before=stored_conditions(resource),
            now=now,
        )

    async def _tell(self, resource: Resource, picture: Snapshot, tally: CounterState) -> Requeue:
        """Writes the status where it differs: at once, or when counters alone changed, within the pace."""
        status = new_status(resource, picture, tally)
        self.health[resource.key] = status["health"]
        needed = change(resource.status, status)
        patience = max((failure.error.retry_after for failure in picture.failures), default=0.0)
        again = Requeue(_later(picture), bool(picture.failures), patience)
        if not needed.patch:
            return again
        if needed.is_counting and (wait := self._wait(resource.key, picture.now)):
            return again.by(wait)
        try:
            await self.cluster.write_status(resource, needed.patch)
        except ApiError as error:
            if not (error.is_conflict or error.is_not_found):
                raise
            # The next pass reads what it is now, or that it is gone; with back-off, for there may be a race of writers.
            return replace(again, failed=True)
        self.pace.wrote(resource.key, picture.now)
        self.metrics.status_updates.labels("counters" if needed.is_counting else "conditions").inc()
        await self.announcer.create_event(resource, status["conditions"], picture.now)
        return again

    def _wait(self, key: Key, now: float) -> float:
        return self.pace.wait(key, now) or self.pace.slot(key, now)


def _later(picture: Snapshot) -> float | None:
    return None if picture.expires_in is None else picture.expires_in + _A_MOMENT


def _deployments(observed: Observed) -> dict[int, Document]:
    found = [child for (kind, _), child in observed.children.items() if kind == "Deployment"]
    shards = [(child["metadata"].get("labels", {}).get(SHARD_LABEL, ""), child) for child in found]
    return {int(shard): child for shard, child in shards if shard.isdigit()}


def _deletes(actions: Iterable[Action]) -> bool:
    return any(isinstance(action, Delete) for action in actions)


def _what(action: Action) -> tuple[str, str]:
    if isinstance(action, Apply):
        return action.manifest["kind"], action.manifest["metadata"]["name"]
    return action.kind, action.name


def _explained(error: ApiError, action: Action) -> ApiError:
    """A conflict on a new object means that somebody else has one of that name; it is not ours to overwrite."""
    if not (error.is_conflict and isinstance(action, Apply) and action.is_new):
        return error
    return ApiError(error.status, "NameTaken", "an object of this name exists and is not the operator's; rename one")
