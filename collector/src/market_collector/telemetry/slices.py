"""Long work in slices, so that the event loop can handle frames in between."""

import asyncio
from collections.abc import Iterable
from time import thread_time
from typing import TypeVar

SLICE_S = 0.002
"""CPU time, because on a busy machine a slice would otherwise end before it has done anything."""

T = TypeVar("T")


async def in_slices(items: Iterable[T]) -> list[T]:
    """Collect the items. The event loop gets a turn after each `SLICE_S`."""
    found: list[T] = []
    until = thread_time() + SLICE_S
    for item in items:
        found.append(item)
        if thread_time() >= until:
            await asyncio.sleep(0)
            until = thread_time() + SLICE_S
    return found
