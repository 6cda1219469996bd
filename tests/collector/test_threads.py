"""Blocking calls in threads that never delay the end."""

import asyncio
import subprocess
import sys
import threading

import pytest

from market_collector.threads import finish_in_thread, in_thread

HANGS = """
import asyncio, threading
from market_collector.threads import {function}
started = threading.Event()
def hang():
    started.set()
    threading.Event().wait()
async def main():
    task = asyncio.create_task({function}(hang))
    await asyncio.sleep(0)
    started.wait()
    task.cancel()
    await asyncio.sleep(0)
asyncio.run(main())
"""


@pytest.mark.parametrize("function", ["in_thread", "finish_in_thread"])
def test_hanging_call_does_not_delay_the_end_of_the_process(function: str) -> None:
    code = HANGS.format(function=function)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


async def test_result_and_error_reach_the_caller() -> None:
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        await finish_in_thread(lambda: 1 // 0)


async def test_first_cancellation_waits_for_the_result_and_the_second_does_not() -> None:
    go = threading.Event()

    def work() -> int:
        go.wait(60)
        return 7

    first, second = asyncio.create_task(finish_in_thread(work)), asyncio.create_task(finish_in_thread(work))
    for task in (first, second, second):
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert not first.done()
    go.set()
    assert await first == 7
