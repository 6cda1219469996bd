"""The operator's calls without the operator: the floor under its ``seconds``.

The same reads, server-side applies and status patches for as many resources, as many at once and by the same client.
All that makes an operator is left away: no watch, no queue, no knowledge of what exists, nothing to decide.
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
    """Seconds until every resource, none of which may have children yet, has them, and this status."""
    return asyncio.run(_write_all(keys, status, settings))


async def _write_all(keys: Iterable[Key], status: Document, settings: Settings) -> float:
    began, waiting, cluster = time.monotonic(), iter(keys), await Cluster.connect()

    async def work() -> None:
        for key in waiting:
            await _write(cluster, key, status, settings)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(settings.workers):
                group.create_task(work())
    finally:
        await cluster.close()
    return time.monotonic() - began


async def _write(cluster: Cluster, key: Key, status: Document, settings: Settings) -> None:
    document = await cluster.read(key)
    if document is None:
        raise LookupError(f"{key} is gone")
    resource = read_resource(document)
    for child in build_desired_state(resource, settings.collector_image, settings.traffic).children:
        await cluster.run(Apply(child, is_new=True))
    await cluster.write_status(resource, status)
