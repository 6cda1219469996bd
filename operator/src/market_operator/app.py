"""Puts the parts together and owns their tasks: when one ends, all end."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from market_operator.cluster.client import CALL_TIMEOUT, Cluster
from market_operator.cluster.election import Election, identity
from market_operator.cluster.lease import Candidate
from market_operator.errors import ApiError, LeadershipError, StartError
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.reconcile.event_recorder import EventRecorder
from market_operator.reconcile.reconciler import Reconciler, Requeue
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.status_budget import StatusBudget
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.settings import Settings
from market_operator.telemetry.http import application, serve
from market_operator.telemetry.logs import about
from market_operator.telemetry.metrics import Metrics
from market_operator.watch import kopf_watch
from market_operator.watch.informer import Informer
from market_operator.watch.listing import Listing
from market_operator.watch.poller import AT_ONCE, Poller
from market_operator.watch.probe import is_direct, reader

logger = logging.getLogger(__name__)
# A pass makes a handful of calls of at most CALL_TIMEOUT each; a worker that is at it for longer is stuck.
STUCK_AFTER = 10 * CALL_TIMEOUT


class _StopAsked(Exception):  # noqa: N818 - being asked to stop is no error
    """Ends the group of tasks when somebody asked the process to stop."""


@dataclass(slots=True)
class App:
    """Everything that lives as long as the process."""

    settings: Settings
    cluster: Cluster
    intake: Informer
    reconciler: Reconciler
    metrics: Metrics
    listing: Listing
    election: Election | None

    @property
    def queue(self) -> WorkQueue:
        """The work queue."""
        return self.intake.queue


async def run(settings: Settings) -> None:
    """Runs the operator until SIGTERM or SIGINT.

    Raises:
        StartError: when there is no cluster, the definition is not installed, or NetworkPolicies would keep us out.
        ApiError: when the cluster cannot be listed at the start.
        LeadershipError: when another instance may lead now.
        OSError: when the HTTP address cannot be listened on.
    """
    _policies_let_us_in(settings)
    stop = asyncio.Event()
    _on_signals(stop)
    async with _parts(settings) as parts, _http(parts):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_stop_when(stop), name="stop")
                await _start(parts, group, stop)
        except* _StopAsked:
            logger.info("stopped, as asked")
        finally:
            parts.queue.close()
            if parts.election:
                await parts.election.resign()


def _policies_let_us_in(settings: Settings) -> None:
    """Pods see the API server when we read through it, and no label selects that."""
    if settings.traffic and settings.traffic.readers and not is_direct(settings.health_via):
        raise StartError(
            "--allow-from would cut the operator off, because it reads collectors through the API server; "
            "leave it away, or run in a pod, or use --health-via direct"
        )


async def _start(parts: App, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
    """Events and listing first, then the workers: a worker that knew less than all would write too much.

    An instance that stands by knows as much as the one that leads, and so can go on at once.
    """
    namespaces = parts.settings.namespaces
    logger.info("serving %s at %s", ", ".join(namespaces) or "all namespaces", (await parts.cluster.access()).server)
    await parts.listing.first()
    group.create_task(_watch(parts, stop), name="events")
    group.create_task(parts.listing.run(), name="listing")
    group.create_task(parts.cluster.keep_access(), name="access")
    if parts.election:
        await _win(parts, parts.election, group)
    parts.intake.act_on_all(time.time())
    group.create_task(_look(parts), name="health")
    for number in range(parts.settings.workers):
        group.create_task(work(parts), name=f"worker {number}")
    parts.metrics.is_leader.set(1)


async def _win(parts: App, election: Election, group: asyncio.TaskGroup) -> None:
    standby = group.create_task(stand_by(parts), name="standby")
    await election.win()
    group.create_task(election.hold(), name="lease")
    standby.cancel()


async def stand_by(parts: App) -> None:
    """Remembers the news and works on none of it: all is queued again when we lead, so nothing needs to wait till then.

    What pods said last is for the leader to count; kept here, it would be counted a second time after a take-over.
    """
    while True:
        key, _ = await parts.queue.take()
        parts.reconciler.forget(key)
        while parts.intake.rounds.take(time.time()):
            pass
        parts.queue.done(key)


async def _watch(parts: App, stop: asyncio.Event) -> None:
    """kopf takes the signals for itself and would wait long for what it does not own; so we take them back."""
    await kopf_watch.watch(
        parts.intake,
        parts.settings.namespaces,
        parts.settings.selector.text,
        parts.cluster.access,
        lambda: _on_signals(stop),
    )
    stop.set()


async def _look(parts: App) -> None:
    source = reader(parts.settings.health_via, parts.cluster, AT_ONCE)
    try:
        await Poller(source, parts.intake, parts.reconciler, parts.metrics).run()
    finally:
        await source.close()


async def work(parts: App) -> None:
    """One worker: takes a resource, passes over it, says when it is due again."""
    while True:
        key, waited = await parts.queue.take()
        parts.metrics.latency.observe(waited)
        try:
            with about(key), parts.metrics.work_duration.time():
                await _work_on(parts, key)
        finally:
            parts.queue.done(key)


async def _work_on(parts: App, key: Key) -> None:
    queue, metrics = parts.queue, parts.metrics
    try:
        with metrics.duration.time():
            again = await _pass_over(parts, key)
        _settle(parts, key, again)
    except LeadershipError:
        raise
    except ApiError as error:
        metrics.errors.inc()
        metrics.reconciles.labels("failed").inc()
        logger.warning("%s; it is tried again", error)
        queue.retry(key, error.retry_after)
    except Exception:
        # A bug in the pass over one resource must not stop the service of all others.
        metrics.errors.inc()
        metrics.reconciles.labels("error").inc()
        logger.exception("unexpected error; it is tried again")
        queue.retry(key)


async def _pass_over(parts: App, key: Key) -> Requeue:
    """What no listing and no event called ours is gone, or another operator's; it is not even read."""
    if key not in parts.intake.seen:
        return parts.reconciler.forget(key)
    return await parts.reconciler.reconcile(key, time.time())


def _settle(parts: App, key: Key, again: Requeue) -> None:
    if again.failed:
        parts.metrics.errors.inc()
        parts.metrics.reconciles.labels("failed").inc()
        parts.queue.retry(key, again.retry_after)
    else:
        parts.queue.succeeded(key)
        parts.metrics.reconciles.labels("done" if again.after is None else "again").inc()
    if again.after is not None:
        parts.queue.add_after(key, again.after)


@contextlib.asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[App]:
    async with contextlib.AsyncExitStack() as stack:
        cluster = await Cluster.connect()
        stack.push_async_callback(cluster.close)
        beside = cluster.with_own_connections()
        stack.push_async_callback(beside.close)
        yield assemble(settings, cluster, beside)


def assemble(settings: Settings, cluster: Cluster, for_lease: Cluster) -> App:
    """The parts, connected with each other; the calls about the Lease have connections of their own."""
    election = _election(settings, for_lease)
    if election:
        cluster.fence = election.fence
    store, observations, metrics = Cache(), Collectors(), Metrics()
    queue = WorkQueue(asyncio.get_running_loop().time)
    intake = Informer(store, observations, queue, PollSchedule())
    pace, announcer = StatusBudget(settings.counter_interval), EventRecorder(cluster, metrics)
    reconciler = Reconciler(cluster, store, observations, pace, settings, metrics, announcer)
    metrics.watch_queue(queue)
    metrics.watch_health(lambda: [*reconciler.health.values()])
    listing = Listing(cluster, intake, metrics, settings.namespaces, settings.selector.text, settings.sweep_interval)
    return App(settings, cluster, intake, reconciler, metrics, listing, election)


def _election(settings: Settings, cluster: Cluster) -> Election | None:
    if settings.lease is None:
        return None
    return Election(cluster, settings.lease, Candidate(identity(), settings.lease._asdict(), settings.lease_terms))


@contextlib.asynccontextmanager
async def _http(parts: App) -> AsyncIterator[None]:
    app = application(lambda: _stuck(parts), lambda: _unready(parts), parts.metrics)
    runner = await serve(app, parts.settings.http_host, parts.settings.http_port)
    try:
        yield
    finally:
        await runner.cleanup()


def _stuck(parts: App) -> str:
    longest = parts.queue.longest_work
    return f"a worker has been busy with one resource for {longest:.0f} s" if longest > STUCK_AFTER else ""


def _unready(parts: App) -> str:
    return "" if parts.listing.is_done else "the first listing is not complete"


async def _stop_when(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _StopAsked


def _on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
