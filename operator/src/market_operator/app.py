"""Assembles the operator and owns its tasks: when one ends, all end."""

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
from market_operator.errors import StartError
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.handover import Handovers
from market_operator.observed.registry import Registry
from market_operator.reconcile.event_recorder import EventRecorder
from market_operator.reconcile.reconciler import Reconciler
from market_operator.reconcile.worker import Worker
from market_operator.resource.shares import KEPT_BYTES, Shares
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.status_budget import HANDOVER_INTERVAL_S, HANDOVERS_PER_SECOND, StatusBudget
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.settings import Settings
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.http import application, serve
from market_operator.telemetry.metrics import Metrics
from market_operator.watch import kopf_watch
from market_operator.watch.informer import Informer
from market_operator.watch.listing import Listing
from market_operator.watch.poller import MAX_CONCURRENT_PROBES, Poller
from market_operator.watch.probe import Reader, is_direct, reader

logger = logging.getLogger(__name__)
# A reconcile makes a handful of calls of at most CALL_TIMEOUT each, so a worker that takes longer hangs.
STUCK_AFTER = 10 * CALL_TIMEOUT


class _StopRequested(Exception):  # noqa: N818 - a requested stop is no error
    """Ends all tasks when the process is asked to stop."""


@dataclass(slots=True)
class App:
    """Everything that lives as long as the process."""

    settings: Settings
    cluster: Cluster
    informer: Informer
    reconciler: Reconciler
    metrics: Metrics
    listing: Listing
    election: Election | None

    @property
    def worker(self) -> Worker:
        """A worker; `settings.workers` of them run."""
        return Worker(self.informer.queue, self.informer.registry, self.reconciler, self.metrics)

    def poller(self, source: Reader) -> Poller:
        """The poller that reads collectors from `source`."""
        informer = self.informer
        return Poller(
            source,
            informer.cache,
            informer.registry,
            informer.collectors,
            informer.queue,
            informer.poll_schedule,
            self.reconciler.status_budget,
            self.metrics,
            informer.containment,
        )


async def run(settings: Settings) -> None:
    """Runs the operator until SIGTERM or SIGINT.

    Raises:
        StartError: no cluster, no CRD, or NetworkPolicies that would block the operator's own probes.
        ApiError: the first listing failed. A missing right in one of several namespaces is retried instead.
        LeadershipError: another instance may lead now.
        OSError: the HTTP address is not available.
    """
    _check_policies(settings)
    stop = asyncio.Event()
    _handle_signals(stop)
    async with _connect(settings) as app, _http(app):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_raise_when_stopped(stop), name="stop")
                await _start(app, group, stop)
        except* _StopRequested:
            logger.info("stopped as asked")
        finally:
            app.informer.queue.close()
            if app.election:
                await app.election.resign()


def _check_policies(settings: Settings) -> None:
    """Pods see the API server's address when the operator probes through it, and no label selects that."""
    if settings.traffic and settings.traffic.readers and not is_direct(settings.health_via):
        raise StartError(
            "--allow-from: would block the operator's own probes, which go through the API server. "
            "Remove it, run in a pod, or add --health-via direct"
        )


async def _start(app: App, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
    """Events and the first listing come before the workers, which would otherwise write too much.

    A standby knows as much as the leader, so it can take over at once.
    """
    namespaces = app.settings.namespaces
    logger.info("serving %s at %s", ", ".join(namespaces) or "all namespaces", (await app.cluster.access()).server)
    await app.listing.complete()
    group.create_task(_watch(app, stop), name="events")
    group.create_task(app.listing.run(), name="listing")
    group.create_task(app.cluster.keep_access(), name="access")
    if app.election:
        await app.election.win()
        group.create_task(app.election.hold(), name="lease")
    app.informer.lead(time.time())
    group.create_task(_poll(app), name="health")
    for number in range(app.settings.workers):
        group.create_task(app.worker.run(), name=f"worker {number}")
    app.metrics.is_leader.set(1)


async def _watch(app: App, stop: asyncio.Event) -> None:
    """kopf installs signal handlers of its own and would wait for tasks that it does not own, so ours replace them."""
    await kopf_watch.watch(
        app.informer,
        app.listing.watch_from,
        app.settings.namespaces,
        app.settings.selector.text,
        app.cluster.access,
        lambda: _handle_signals(stop),
    )
    stop.set()


async def _poll(app: App) -> None:
    source = reader(app.settings.health_via, app.cluster, MAX_CONCURRENT_PROBES)
    try:
        await app.poller(source).run()
    finally:
        await source.close()


@contextlib.asynccontextmanager
async def _connect(settings: Settings) -> AsyncIterator[App]:
    async with contextlib.AsyncExitStack() as stack:
        cluster = await Cluster.connect()
        stack.push_async_callback(cluster.close)
        for_lease = cluster.with_own_connections()
        stack.push_async_callback(for_lease.close)
        yield assemble(settings, cluster, for_lease)


def assemble(settings: Settings, cluster: Cluster, for_lease: Cluster) -> App:
    """The operator's parts, connected. Calls about the Lease use `for_lease`, which has its own connections."""
    election = _election(settings, for_lease)
    if election:
        cluster.fence = election.fence
    metrics = Metrics()
    queue = WorkQueue(asyncio.get_running_loop().time)
    shares = Shares(KEPT_BYTES)
    informer = Informer(
        Cache(shares), Registry(), Collectors(shares=shares), queue, PollSchedule(), Containment(metrics)
    )
    reconciler = Reconciler(
        cluster,
        informer.cache,
        informer.registry,
        informer.collectors,
        informer.poll_schedule,
        StatusBudget(settings.counter_interval),
        settings,
        metrics,
        EventRecorder(cluster, metrics),
        Handovers(shares),
        StatusBudget(HANDOVER_INTERVAL_S, HANDOVERS_PER_SECOND),
    )
    metrics.watch_queue(queue)
    metrics.watch_health(lambda: [*reconciler.health.values()])
    listing = Listing(cluster, informer, metrics, settings.namespaces, settings.selector.text, settings.sweep_interval)
    return App(settings, cluster, informer, reconciler, metrics, listing, election)


def _election(settings: Settings, cluster: Cluster) -> Election | None:
    if settings.lease is None:
        return None
    return Election(cluster, settings.lease, Candidate(identity(), settings.lease._asdict(), settings.lease_terms))


@contextlib.asynccontextmanager
async def _http(app: App) -> AsyncIterator[None]:
    server = application(
        lambda: _describe_hang(app),
        lambda: _describe_unready(app),
        app.metrics,
        lambda: _describe_unserved(app),
    )
    runner = await serve(server, app.settings.http_host, app.settings.http_port)
    try:
        yield
    finally:
        await runner.cleanup()


def _describe_hang(app: App) -> str:
    longest = app.informer.queue.longest_work
    return f"a worker has been busy with one resource for {longest:.0f} s" if longest > STUCK_AFTER else ""


def _describe_unready(app: App) -> str:
    if app.listing.serves_nothing:
        return "no namespace can be served"
    return "" if app.listing.is_done else "the first listing is not complete"


def _describe_unserved(app: App) -> str:
    """One namespace without rights must not make the operator unready for all others, so it only shows."""
    errors = app.listing.unserved.items()
    return "\n".join(f"not served: {namespace or 'all namespaces'}: {error}" for namespace, error in errors)


async def _raise_when_stopped(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _StopRequested


def _handle_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
