"""The operator's calls without the operator: the lower bound of its ``seconds``.

The same client makes the same reads, server-side applies and status patches, with the same concurrency and number of
resources. There is no watch, queue, cache or decision.
"""

import asyncio
import time
from collections.abc import Iterable

from market_operator.cluster.actions import Apply
from market_operator.cluster.client import Cluster
from market_operator.manifests.build import build_desired_state
from market_operator.resource.document import Document, read_resource
from market_operator.resource.naming import Key
from market_operator.settings import Settings


def write_all(keys: Iterable[Key], status: Document, settings: Settings) -> float:
    """Create the managed objects and write the status of all resources, which must not have any. Returns seconds."""
    return asyncio.run(_write_all(keys, status, settings))


async def _write_all(keys: Iterable[Key], status: Document, settings: Settings) -> float:
    started, waiting, cluster = time.monotonic(), iter(keys), await Cluster.connect()

    async def work() -> None:
        for key in waiting:
            await _write(cluster, key, status, settings)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(settings.workers):
                group.create_task(work())
    finally:
        await cluster.close()
    return time.monotonic() - started


async def _write(cluster: Cluster, key: Key, status: Document, settings: Settings) -> None:
    document = await cluster.read(key)
    if document is None:
        raise LookupError(f"{key} is gone")
    resource = read_resource(document)
    for child in build_desired_state(resource, settings.collector_image, settings.traffic).children:
        await cluster.run(Apply(child, is_new=True))
    await cluster.write_status(resource, status)
