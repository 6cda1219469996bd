"""Watches by kopf. This is the only module that imports it.

kopf hands every event to one small function, which never fails and never waits, because kopf does not retry a failed
event handler. All work goes to the work queue. kopf's writing handlers and indexes are not used, see
docs/decisions/0001-kopf-only-as-an-event-source.md.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import kopf
from kopf._cogs.clients import api, fetching
from kopf._cogs.structs.bodies import RawBody
from kopf._cogs.structs.references import Insights, Namespace, Resource
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from market_operator.cluster.access import Access
from market_operator.cluster.kinds import CHILDREN, COLLECTORS, PODS, Kind
from market_operator.errors import NO_CRD, ApiError, StartError
from market_operator.resource.document import Document
from market_operator.resource.naming import MANAGER, OURS, Key
from market_operator.telemetry.containment import Containment
from market_operator.watch.event_lines import readable, reduced
from market_operator.watch.informer import Informer

# Kubernetes sends a bookmark every 60 s, so a watch without events for longer is broken.
_SILENCE = 70.0
# kopf keeps each object's last event this long, in case another follows: 0.2 s take 2 MB with thousands of objects.
_IDLE = 0.02


_RETRIES = (1, 1, 2, 3, 5, 8, 13, 21)
_LONGEST_RETRY = 30


class _Backoffs:
    """Seconds between kopf's attempts, without an end.

    With kopf's own, one namespace whose rights are gone would end the watches of all others, and the process.
    """

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(_RETRIES, itertools.repeat(_LONGEST_RETRY))


_KINDS = {(kind.group, kind.version, kind.plural): kind for kind in (*CHILDREN.values(), PODS, COLLECTORS)}
_KOPF_LINES = api.iter_jsonlines
# kopf's own type of it is private; it is a plain str.
_IDENTITY: Any = MANAGER


async def watch(
    informer: Informer,
    listed: Callable[[Kind, str | None], Awaitable[int]],
    namespaces: tuple[str, ...],
    selector: str,
    access: Callable[[], Awaitable[Access]],
    started: Callable[[], None],
) -> None:
    """Feeds `informer` with the events of all our kinds until cancelled; calls `started` once kopf runs.

    `listed` lists a kind in a namespace (None: in all), and returns the resource version from which it is watched.
    `selector` is a label selector of the resources.

    Raises:
        StartError: the CRD is gone, or was when kopf looked for it. The kubelet restarts the process until it is back.
        Exception: any other error that ends kopf, such as a refused login.
    """
    registry, settings = _registry(informer, access), _settings(selector)
    fetching.fetch_objs = _listing(listed)
    api.iter_jsonlines = _lines(informer)
    existing = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    found = Insights()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        memories=_NoMemories(),
        insights=found,
        clusterwide=not namespaces,
        namespaces=namespaces,
        standalone=True,
        # kopf would look up the user's name, which a container's user does not have.
        identity=_IDENTITY,
    )
    required = asyncio.create_task(_require_crd(found), name="CRD")
    started()
    asyncio.get_running_loop().set_exception_handler(_handle_loop_error)
    try:
        await kopf.run_tasks([*tasks, required], ignored=existing | _me())
    except Exception as error:
        # kopf's class of it is private.
        if getattr(error, "status", None) == HTTPStatus.NOT_FOUND:
            raise StartError(NO_CRD) from error
        raise


def _listing(
    listed: Callable[[Kind, str | None], Awaitable[int]],
) -> Callable[..., AsyncIterator[tuple[Collection[RawBody], str]]]:
    """The listing before each watch, in place of kopf's.

    kopf keeps every object of a page until a handler has run, of all kinds at the same time. Tenants could fill the
    memory with large objects. It would also not report those that are gone.
    """

    async def fetch(*, resource: Resource, namespace: Namespace, **_: Any) -> AsyncIterator[tuple[list[RawBody], str]]:
        kind = _KINDS[resource.group, resource.version, resource.plural]
        for wait in _Backoffs():
            try:
                version = await listed(kind, str(namespace) if namespace else None)
            except ApiError as error:
                if error.is_not_found:
                    raise
                await asyncio.sleep(wait)
            else:
                yield [], str(version)
                return

    return fetch


def _lines(informer: Informer) -> Callable[..., AsyncIterator[bytes]]:
    """The lines of a watch, in place of kopf's, which parses each as a whole."""

    async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        async for line in _KOPF_LINES(content):
            if (event := readable(line, informer.containment)) is not None:
                yield reduced(event, informer.cache.is_new)

    return lines


async def _require_crd(found: Insights) -> None:
    """kopf looks for the kinds once, and goes on without those that are missing: it would never report a resource."""
    await found.ready_resources.wait()
    if not any(each.plural == COLLECTORS.plural for each in found.watched_resources):
        raise StartError(NO_CRD)
    await asyncio.Event().wait()


def _handle_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Reports errors of the event loop, except for kopf's watches.

    A cancelled watch is closed only at the end of the process, which would print a traceback for each.
    """
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


def _me() -> set[asyncio.Task[Any]]:
    task = asyncio.current_task()
    return {task} if task else set()


class _NoDiffs(kopf.DiffBaseStorage):
    """Disables kopf's comparison of objects.

    kopf copies every object of every event, a quarter of the operator's time with 1,000 resources.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing to compare."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        """Nothing stored."""

    def store(self, **_: Any) -> None:
        """Stores nothing."""


class _NoMemories(ResourceMemories):
    """Disables kopf's memory of objects.

    kopf keeps 2 KB of each object it ever saw. With 10,000 resources that is more than the rest of the operator.
    """

    async def recall(self, raw_body: Any, **given: Any) -> ResourceMemory:
        """A memory for this one event."""
        return await super().recall(raw_body, **{**given, "ephemeral": True})


def _settings(selector: str) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.networking.error_backoffs = _Backoffs()
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = _IDLE
    settings.queueing.exit_timeout = 0.5
    settings.watching.inactivity_timeout = _SILENCE
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.finalizer = "marketcollector.dev/unused"
    if selector:
        settings.watching.label_selectors[COLLECTORS.group, COLLECTORS.version, COLLECTORS.plural] = selector
    for kind in (*CHILDREN.values(), PODS):
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = OURS
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._cogs.clients.watching").addFilter(_is_worth_a_line)
    return settings


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a record is more than a further attempt or a missing right, which the listing reports once.

    kopf logs each attempt of each kind in each namespace.
    """
    text = record.getMessage()
    return "will retry" not in text or ("attempt #1 " in text and "APIForbiddenError" not in text)


def _registry(informer: Informer, access: Callable[[], Awaitable[Access]]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return _connection(await access())

    _on(registry, COLLECTORS, informer.containment, lambda kind, document: _resource(informer, kind, document))
    for each in (*CHILDREN.values(), PODS):
        _on(registry, each, informer.containment, _child_handler(informer, each.name))
    return registry


def _child_handler(informer: Informer, name: str) -> Callable[[str | None, Document], None]:
    return lambda kind, document: _child(informer, name, kind, document)


def _on(
    registry: kopf.OperatorRegistry,
    kind: Kind,
    containment: Containment,
    handle: Callable[[str | None, Document], None],
) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=kind.name, registry=registry)
    async def on_event(event: Any, **_: Any) -> None:
        handle_event(kind.name, containment, handle, event)


def handle_event(
    kind: str, containment: Containment, handle: Callable[[str | None, Document], None], event: Mapping[str, Any]
) -> None:
    """Calls `handle` with an event. An error about its object is contained, whatever the object is."""
    namespace = name = ""
    try:
        meta = event["object"]["metadata"]
        namespace, name = str(meta["namespace"]), str(meta["name"])
        handle(event["type"], event["object"])
    except Exception as error:
        containment.report(kind, namespace, name, error)


def _resource(informer: Informer, event: str | None, document: Document) -> None:
    if event == "DELETED":
        informer.resource_gone(Key.of(document["metadata"]["namespace"], document["metadata"]["name"]))
    else:
        informer.resource(document)


def _child(informer: Informer, kind: str, event: str | None, document: Document) -> None:
    if event == "DELETED":
        informer.child_gone(kind, document)
    else:
        informer.child(kind, document, time.time())


def _connection(access: Access) -> kopf.ConnectionInfo:
    scheme, _, token = (access.authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=access.server,
        ca_path=access.ca_path,
        insecure=access.is_insecure,
        certificate_path=access.certificate_path,
        private_key_path=access.key_path,
        scheme=scheme.capitalize() or None,
        token=token or None,
        proxy_url=access.proxy_url,
    )
