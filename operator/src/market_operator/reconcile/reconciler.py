"""Reconciles one resource: observe, build the desired state, diff, apply, write the status.

It is level-triggered: each reconcile looks at everything, and a second one over the same state writes nothing.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from market_operator.cluster.actions import Action, Apply, Delete
from market_operator.cluster.client import Cluster
from market_operator.errors import ApiError, LeadershipError, NotAllowedError, SpecError
from market_operator.manifests.build import build_desired_state, with_hash
from market_operator.manifests.desired_state import DesiredState
from market_operator.manifests.handover import handover, is_handover, stored_handover
from market_operator.manifests.shard import common_labels
from market_operator.observed.cache import Cache, Observed, name_of
from market_operator.observed.collectors import Collectors
from market_operator.observed.counters import CounterState, fold, read_counter_state
from market_operator.observed.handover import Handovers
from market_operator.observed.registry import Registry
from market_operator.reconcile.drift import describe, is_changed_by_others, is_repeat
from market_operator.reconcile.event_recorder import EventRecorder
from market_operator.reconcile.moves import held_shards
from market_operator.reconcile.plan import applied, deployments, is_all_rolled_out, plan, shard_of
from market_operator.resource.document import Document, Resource, read_resource
from market_operator.resource.naming import Key
from market_operator.scheduling.contests import Contests
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.status_budget import StatusBudget
from market_operator.settings import Settings
from market_operator.status.build import new_status, status_after_error, stored_conditions
from market_operator.status.patch import change, essential, merge_patch
from market_operator.status.reasons import Reason
from market_operator.status.snapshot import Failure, Snapshot
from market_operator.telemetry.metrics import Metrics
from market_spec.durations import seconds

logger = logging.getLogger(__name__)
# Added to waits for a point in time, so that it has passed.
_MARGIN_S = 0.1
# When a deletion is checked if its event has not arrived.
_RECHECK_AFTER_S = 5.0
# When it is checked whether a held shard may change, beside the reports that trigger it.
_HELD_RECHECK_S = 1.0


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
    registry: Registry
    collectors: Collectors
    poll_schedule: PollSchedule
    status_budget: StatusBudget
    settings: Settings
    metrics: Metrics
    event_recorder: EventRecorder
    handovers: Handovers
    handover_budget: StatusBudget
    contests: Contests = field(default_factory=Contests)
    health: dict[Key, str] = field(default_factory=dict)

    async def reconcile(self, key: Key, now: float) -> Requeue:
        """Applies the desired state of one resource and writes its status.

        Raises:
            ApiError: the resource could not be read, or its status could not be written.
            Exception: an internal error. The status says so.
        """
        document = await self.cluster.read(key)
        if document is None:  # without an event so far, so the answer may be wrong
            return self.forget(key).at_most(_RECHECK_AFTER_S)
        resource = read_resource(document)
        is_overwritten = self.registry.left(key, resource.resource_version)
        if resource.is_deleting or not self.settings.selector.matches(resource.labels):
            return self.forget(key)
        try:
            return await self._reconcile(resource, is_overwritten, now)
        except (ApiError, LeadershipError):
            raise
        except Exception as error:
            await self._report_internal_error(resource, error, now)
            raise

    async def _reconcile(self, resource: Resource, is_overwritten: bool, now: float) -> Requeue:
        key = resource.key
        before = self.cache.observe(key, resource.uid)
        desired, invalid = self._desire(resource, before, now)
        planned, held = self._plan(key, desired, before, now) if desired else ((), frozenset[int]())
        actions = tuple(filter(_is_handover, planned)) if resource.is_paused else planned
        due, wait = self._put_off(key, actions, now)
        failures = [failure for action in due if (failure := await self._put_right(resource, action, now))]
        if desired and not resource.is_paused:
            failures += _not_yet_deleted(desired, before)
        observed = self.cache.observe(key, resource.uid)
        snapshot = self._snapshot(resource, observed, desired, invalid, failures, now)
        if resource.is_paused:
            waiting = tuple(" ".join(_object_of(action)) for action in planned if not _is_handover(action))
            snapshot = replace(snapshot, paused=waiting)
        requeue = await self._write_status(resource, snapshot, self._count(resource, observed), is_overwritten)
        if wait:
            requeue = requeue.at_most(wait + _MARGIN_S)
        if held:
            requeue = requeue.at_most(_HELD_RECHECK_S)
        return requeue.at_most(_RECHECK_AFTER_S) if _deletes(actions) and not requeue.failed else requeue

    async def _report_internal_error(self, resource: Resource, error: Exception, now: float) -> None:
        """Writes that this resource could not be reconciled, unless its status says so already."""
        status = status_after_error(resource, f"{error!r:.200}", now)
        self.health[resource.key] = status["health"]
        if patch := merge_patch(resource.status, {**resource.status, **status}):
            try:
                await self._patch_status(resource, patch)
            except ApiError as failure:
                logger.warning("could not write that the reconcile failed: %s", failure)
            else:
                await self.event_recorder.create_event(resource, status["conditions"], now)

    def forget(self, key: Key) -> Requeue:
        """Forgets a resource that is gone, terminating, or another operator's."""
        self.collectors.forget(key)
        self.status_budget.forget(key)
        self.event_recorder.forget(key)
        self.health.pop(key, None)
        self.poll_schedule.forget(key)
        self.handovers.forget(key)
        self.handover_budget.forget(key)
        self.contests.forget(key)
        return Requeue()

    def _desire(
        self, resource: Resource, observed: Observed, now: float
    ) -> tuple[DesiredState | None, SpecError | None]:
        try:
            settings = self.settings
            desired = build_desired_state(resource, settings.collector_image, settings.traffic, settings.pods)
            settings.tenants.check(desired.spec)
        except SpecError as error:
            return None, error
        interval = seconds(desired.spec.health_check_interval)
        self.poll_schedule.request(resource.key, interval, [pod.uid for pod in observed.pods], now)
        return self._with_handover(resource, desired, observed, now), None

    def _with_handover(self, resource: Resource, desired: DesiredState, observed: Observed, now: float) -> DesiredState:
        """Adds the handover document. It comes first: pods that are created next mount it."""
        key = resource.key
        reported = self.collectors.positions.get(key, {})
        stored = stored_handover(observed.children, key.name)
        text, is_new = self.handovers.document(
            key,
            stored,
            observed.pods,
            reported,
            desired.streams,
            lambda: self._is_handover_old(key, now),
            lambda: is_all_rolled_out(observed, desired),
        )
        if is_new:
            self.handover_budget.wrote(key, now)
        self.collectors.drop_positions(key, {pod.uid for pod in observed.pods})
        if not text:
            return desired
        document = handover(resource, text, common_labels(desired.spec, self.settings.pods))
        return replace(desired, children=(with_hash(document), *desired.children))

    def _is_handover_old(self, key: Key, now: float) -> bool:
        return not (self.handover_budget.wait(key, now) or self.handover_budget.slot(key, now))

    def _plan(
        self, key: Key, desired: DesiredState, observed: Observed, now: float
    ) -> tuple[tuple[Action, ...], frozenset[int]]:
        """The writes, and the shards that must not change yet. Without writes, no shard has to wait."""
        actions, held = plan(observed, desired), frozenset[int]()
        if actions and (held := held_shards(desired, observed, self.collectors.probes, now)):
            actions = plan(observed, desired, held)
        differ = {name_of(action.manifest) for action in actions if isinstance(action, Apply)}
        applied = {name_of(child) for child in desired.children if shard_of(child) not in held}
        self.cache.mark_applied(key, applied - differ - observed.earlier)
        return actions, held

    def _put_off(self, key: Key, actions: Iterable[Action], now: float) -> tuple[list[Action], float]:
        """The writes that are due, and the seconds until the next of the others (0: there are none)."""
        waits = [(action, self._contest_wait(key, action, now)) for action in actions]
        return [action for action, wait in waits if not wait], min((wait for _, wait in waits if wait), default=0.0)

    def _contest_wait(self, key: Key, action: Action, now: float) -> float:
        if not (isinstance(action, Apply) and is_repeat(action)):
            return 0.0
        return self.contests.wait(key, " ".join(_object_of(action)), applied(action.manifest), now)

    async def _put_right(self, resource: Resource, action: Action, now: float) -> Failure | None:
        """Carries an action out, and reports what another writer had changed."""
        if not (isinstance(action, Apply) and is_repeat(action)):
            return await self._try(action)
        before, key, name = self.cache.observe(resource.key, resource.uid), resource.key, " ".join(_object_of(action))
        failure = await self._try(action)
        if failure is None:
            state, message = applied(action.manifest), describe(action, before)
            if self.contests.put_right(key, name, state, is_changed_by_others(action, before), message, now):
                logger.warning("%s; put back", message)
                await self.event_recorder.warn(resource, Reason.CHANGED_BY_OTHERS, f"{message}. It is put back", now)
        return failure

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
        finished = {pod.uid for pod in observed.pods if pod.is_finished}
        uids = {pod.uid for pod in observed.pods} - finished | self._possibly_running(resource, stored)
        self.collectors.drop_stored(resource.key, stored, uids, finished)
        return fold(stored, self.collectors.samples(resource.key, observed.pods), uids, finished)

    def _possibly_running(self, resource: Resource, stored: CounterState) -> set[str]:
        """UIDs that a stored status counts, of pods newer than the cache: their epochs stay open."""
        key, version = resource.key, int(resource.resource_version)
        return {epoch.uid for epoch in stored.epochs if self.cache.may_exist(epoch.uid, key.namespace, version)}

    def _snapshot(
        self,
        resource: Resource,
        observed: Observed,
        desired: DesiredState | None,
        invalid: SpecError | None,
        failures: Iterable[Failure],
        now: float,
    ) -> Snapshot:
        return Snapshot(
            desired=desired,
            invalid=str(invalid or ""),
            deployments=deployments(observed),
            pods=observed.pods,
            probes=self.collectors.probes,
            failures=tuple(failures),
            before=stored_conditions(resource),
            now=now,
            contests=self.contests.repeated(resource.key, now),
            invalid_reason=Reason.NOT_ALLOWED if isinstance(invalid, NotAllowedError) else Reason.INVALID_SPEC,
        )

    async def _write_status(
        self, resource: Resource, snapshot: Snapshot, counters: CounterState, is_overwritten: bool
    ) -> Requeue:
        """Writes the changed status: at once, or within the budget if only counters changed."""
        status = new_status(resource, snapshot, counters)
        self.health[resource.key] = status["health"]
        needed = change(resource.status, status)
        retry_after = max((failure.error.retry_after for failure in snapshot.failures), default=0.0)
        requeue = Requeue(_requeue_after(snapshot), bool(snapshot.failures), retry_after)
        if not needed.patch:
            return requeue
        if wait := self._status_wait(resource, needed.is_counting, snapshot.now):
            return requeue.at_most(wait + _MARGIN_S)
        if held := self.status_budget.held(resource.key, snapshot.now):
            return await self._write_essentials(resource, status, needed.patch, snapshot.now, requeue.at_most(held))
        try:
            await self._patch_status(resource, needed.patch)
        except ApiError as error:
            if error.is_invalid:
                held = await self._hold(resource, error, snapshot.now)
                return await self._write_essentials(resource, status, needed.patch, snapshot.now, requeue.at_most(held))
            if not (error.is_conflict or error.is_not_found):
                raise
            # The next reconcile reads the current state. Backoff, because two writers may race.
            return replace(requeue, failed=True)
        if is_overwritten and resource.status.get("observedGeneration") == resource.generation:
            text = f"The status of {resource.key.name}: another writer changed it"
            self.contests.put_right(resource.key, "status", str(resource.generation), True, text, snapshot.now)
        self.status_budget.wrote(resource.key, snapshot.now)
        if not needed.is_counting:
            self.status_budget.flipped(resource.key, snapshot.now)
        self.metrics.status_updates.labels("counters" if needed.is_counting else "conditions").inc()
        await self.event_recorder.create_event(resource, status["conditions"], snapshot.now)
        return requeue

    async def _patch_status(self, resource: Resource, patch: Document) -> None:
        after = await self.cluster.write_status(resource, patch)
        self.registry.left(resource.key, after["metadata"]["resourceVersion"])

    async def _hold(self, resource: Resource, error: ApiError, now: float, is_essential: bool = False) -> float:
        """Tells that the API server refuses the status; seconds until it may be tried again."""
        self.status_budget.refused(resource.key, now, is_essential)
        part = "the conditions" if is_essential else "the status, but for the conditions"
        logger.warning("the API server refuses %s: %s", part, error)
        self.metrics.status_updates.labels("refused").inc()
        await self.event_recorder.warn(resource, "StatusRefused", f"The API server refuses {part}: {error}", now)
        return self.status_budget.held(resource.key, now)

    async def _write_essentials(
        self, resource: Resource, status: Document, patch: Document, now: float, requeue: Requeue
    ) -> Requeue:
        """Writes the conditions of a status that the API server refuses as a whole."""
        patch = essential(patch)
        if not patch or self.status_budget.held(resource.key, now, is_essential=True):
            return requeue
        try:
            await self._patch_status(resource, patch)
        except ApiError as error:
            if not error.is_invalid:
                raise
            await self._hold(resource, error, now, is_essential=True)
        else:
            await self.event_recorder.create_event(resource, status["conditions"], now)
        return requeue

    def _status_wait(self, resource: Resource, is_counting: bool, now: float) -> float:
        """Seconds until a changed status may be written; 0 means now, as for conditions of a changed spec."""
        key, budget, wait = resource.key, self.status_budget, 0.0
        if is_counting:
            wait = budget.wait(key, now) or budget.slot(key, now)
        elif resource.status.get("observedGeneration") == resource.generation:
            wait = budget.flip_wait(key, now)
        return wait or self.contests.wait(key, "status", str(resource.generation), now)


def _requeue_after(snapshot: Snapshot) -> float | None:
    return None if snapshot.expires_in is None else snapshot.expires_in + _MARGIN_S


def _is_handover(action: Action) -> bool:
    """Whether an action only keeps the handover document, which is as current as the status also while paused."""
    return isinstance(action, Apply) and is_handover(action.manifest)


def _deletes(actions: Iterable[Action]) -> bool:
    return any(isinstance(action, Delete) for action in actions)


def _object_of(action: Action) -> tuple[str, str]:
    if isinstance(action, Apply):
        return action.manifest["kind"], action.manifest["metadata"]["name"]
    return action.kind, action.name


def _not_yet_deleted(desired: DesiredState, observed: Observed) -> list[Failure]:
    """Desired objects whose names are taken until the garbage collector deletes those of an earlier resource."""
    message = "it belongs to a deleted resource of the same name. Kubernetes' garbage collector deletes it"
    names = [name_of(child) for child in desired.children]
    error = ApiError(409, "NotYetDeleted", message)
    return [Failure(f"{kind} {name}", error) for kind, name in names if (kind, name) in observed.earlier]


def _describe_error(error: ApiError, action: Action) -> ApiError:
    """A conflict on a new object means that the name is taken by an object of another owner."""
    if not (error.is_conflict and isinstance(action, Apply) and action.is_new):
        return error
    return ApiError(
        error.status, "NameTaken", "an object of this name exists and is not the operator's. Rename one of them"
    )
