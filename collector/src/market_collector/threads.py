"""Blocking calls in daemon threads: unlike asyncio's own threads, they never delay the end of the process."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Return the result of a blocking call. Cancelling it abandons the call, which may still finish."""
    return await asyncio.wrap_future(_start(work))


async def finish_in_thread(work: Callable[[], T]) -> T:
    """Like `in_thread`, but ignore the first cancellation, so that the result of a write is always known."""
    result = asyncio.wrap_future(_start(work))
    try:
        return await asyncio.shield(result)
    except asyncio.CancelledError:
        return await result


def _start(work: Callable[[], T]) -> Future[T]:
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # the waiter cannot cancel it from now on

    def run() -> None:
        try:
            result.set_result(work())
        except Exception as error:  # raised to the waiter
            result.set_exception(error)

    threading.Thread(target=run, name="blocking call", daemon=True).start()
    return result
