"""Watch events by kopf, and only that: the single module that imports it.

kopf runs its own watches and hands every event to one small function, which never fails and never waits: an exception
in an event handler is not retried by kopf, so all work is left to our queue. No handler of kopf that writes to the
resource (create, update, timers, daemons, finalizers) and none of its indexes is used;
docs/decisions/0001-kopf-only-as-an-event-source.md has the numbers.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from market_operator.cluster.access import Access
from market_operator.cluster.kinds import CHILDREN, COLLECTORS, PODS, Kind
from market_operator.errors import NO_DEFINITION, StartError
from market_operator.resource.document import Document
from market_operator.resource.naming import MANAGER, OURS, Key
from market_operator.watch.informer import Informer

# Kubernetes sends a bookmark every 60 s; a watch that is silent for longer is dead.
_SILENCE = 70.0
# kopf holds every object of its pages until a handler has run: with pages of 100 its start takes 11 MB more.
_PAGE = 20
# kopf holds each object's last event for so long, in case that another one follows: with 0.2 s, 2 MB among thousands.
_IDLE = 0.02


# A plain str to everybody but kopf's own types, which are private.
_IDENTITY: Any = MANAGER


async def watch(
    intake: Informer,
    namespaces: tuple[str, ...],
    selector: str,
    access: Callable[[], Awaitable[Access]],
    started: Callable[[], None],
) -> None:
    """Feeds `intake` with the events of all our kinds until cancelled; calls `started` once kopf runs.

    `selector` is a label selector of the resources.

    Raises:
        StartError: when the definition is gone; whoever runs the process starts it again until it is back.
        Exception: whatever else ends kopf, such as a refused login.
    """
    registry, settings = _registry(intake, access), _settings(selector)
    existing = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        memories=_NoMemories(),
        clusterwide=not namespaces,
        namespaces=namespaces,
        standalone=True,
        # kopf would ask the system for the user's name, which a container's user does not have.
        identity=_IDENTITY,
    )
    started()
    asyncio.get_running_loop().set_exception_handler(_tell)
    try:
        await kopf.run_tasks(tasks, ignored=existing | _me())
    except Exception as error:
        # kopf's class of it is private.
        if getattr(error, "status", None) == HTTPStatus.NOT_FOUND:
            raise StartError(NO_DEFINITION) from error
        raise


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tells what asyncio has to tell, but not of kopf's watches: cancelled in the midst of events, it leaves them
    half-way, and the end of the process, which closes them, would print a traceback for each."""
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


def _me() -> set[asyncio.Task[Any]]:
    task = asyncio.current_task()
    return {task} if task else set()


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf copies every object of every event to compare it with the one before (a quarter of the operator's time with
    1,000 resources); our handlers ask for no comparison, so there is nothing to copy."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of an object is compared."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        """Nothing was kept."""

    def store(self, **_: Any) -> None:
        """Nothing is kept."""


class _NoMemories(ResourceMemories):
    """kopf remembers 2 KB of each object that it ever saw, for handlers of kinds that we do not use: with 10,000
    resources and their children that is more than all the rest of the operator."""

    async def recall(self, raw_body: Any, **given: Any) -> ResourceMemory:
        """A memory for this one event."""
        return await super().recall(raw_body, **{**given, "ephemeral": True})


def _settings(selector: str) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = _IDLE
    settings.queueing.exit_timeout = 0.5
    settings.watching.chunk_size = _PAGE
    settings.watching.inactivity_timeout = _SILENCE
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.finalizer = "marketcollector.dev/unused"
    if selector:
        settings.watching.label_selectors[COLLECTORS.group, COLLECTORS.version, COLLECTORS.plural] = selector
    for kind in (*CHILDREN.values(), PODS):
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = OURS
    logging.getLogger("kopf").setLevel(logging.WARNING)
    return settings


def _registry(intake: Informer, access: Callable[[], Awaitable[Access]]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return _connection(await access())

    _on(registry, COLLECTORS, lambda kind, document: _resource(intake, kind, document))
    for each in (*CHILDREN.values(), PODS):
        _on(registry, each, _child_handler(intake, each.name))
    return registry


def _child_handler(intake: Informer, name: str) -> Callable[[str | None, Document], None]:
    return lambda kind, document: _child(intake, name, kind, document)


def _on(registry: kopf.OperatorRegistry, kind: Kind, handle: Callable[[str | None, Document], None]) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=kind.name, registry=registry)
    async def on_event(event: Any, **_: Any) -> None:
        handle(event["type"], event["object"])


def _resource(intake: Informer, event: str | None, document: Document) -> None:
    if event == "DELETED":
        intake.resource_gone(Key.of(document["metadata"]["namespace"], document["metadata"]["name"]))
    else:
        intake.resource(document)


def _child(intake: Informer, kind: str, event: str | None, document: Document) -> None:
    if event == "DELETED":
        intake.child_gone(kind, document)
    else:
        intake.child(kind, document, time.time())


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
