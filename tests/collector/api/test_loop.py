"""The event loop of a collector: who may use it, and how callbacks share it."""

import asyncio
import threading

import pytest

from market_collector.api.loop import check_loop, timed, turns_of
from market_collector.errors import WrongLoopError


async def nothing() -> None:
    """Ends at once."""


async def test_the_loop_itself_is_accepted_and_another_is_not() -> None:
    check_loop("me", asyncio.get_running_loop())
    other = asyncio.new_event_loop()
    with pytest.raises(WrongLoopError, match="me: belongs to the event loop of its start"):
        check_loop("me", other)
    other.close()


def test_without_a_loop_a_loop_that_does_not_run_is_accepted() -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(nothing())
    check_loop("me", loop)
    loop.close()


def test_another_thread_is_refused_while_the_loop_runs() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(nothing(), loop).result()
    with pytest.raises(WrongLoopError, match="run_coroutine_threadsafe"):
        check_loop("me", loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def test_callbacks_of_one_loop_share_its_turns() -> None:
    assert turns_of(asyncio.get_running_loop()) is turns_of(asyncio.get_running_loop())


async def test_timed_work_gets_results_errors_and_cancellations() -> None:
    steps, story = list[float](), list[str]()

    async def work() -> None:
        story.append(await asyncio.sleep(0, "result"))
        refused = asyncio.get_running_loop().create_future()
        refused.set_exception(OSError("error"))
        with pytest.raises(OSError, match="error"):
            await refused
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            story.append("cancelled")
            raise

    async def main() -> None:
        await timed(work(), steps.append)

    task = asyncio.create_task(main())
    while len(steps) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert story == ["result", "cancelled"]
    assert len(steps) == 3
