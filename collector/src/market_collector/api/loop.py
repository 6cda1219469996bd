"""The event loop that a collector belongs to, and how callbacks share it with everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from time import monotonic
from types import coroutine
from typing import Any
from weakref import WeakKeyDictionary

from market_collector.errors import WrongLoopError

TURN_S = 0.01
"""Time of callbacks after which everything else gets a turn."""
REST = 0.1
"""Duration of that turn, as a part of the time that the callbacks took."""


def check_loop(name: str, loop: asyncio.AbstractEventLoop) -> None:
    """Makes sure that the caller is in the event loop, or that no loop runs at all.

    Raises:
        WrongLoopError: The caller is in another event loop, or in another thread while the loop runs.
    """
    here = _running_loop()
    if here is not loop and (here is not None or loop.is_running()):
        raise WrongLoopError(
            f"{name}: belongs to the event loop of its start(), and this is another loop or thread. Call it there: "
            "from a thread with asyncio.run_coroutine_threadsafe() or loop.call_soon_threadsafe()"
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Turns:
    """Divides the time of one event loop between all its callbacks and everything else."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.used_s = 0.0
        """Time of callbacks since everything else had a turn."""

    @property
    def are_over(self) -> bool:
        """Whether everything else is due."""
        return self.used_s >= TURN_S

    async def wait(self) -> None:
        """Returns when a callback may be called; those that wait get their turns in order."""
        if not self.are_over:
            return
        async with self._lock:
            if self.are_over:
                await asyncio.sleep(self.used_s * REST)
                self.used_s = 0.0


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The turns of a loop, which all of its collectors share."""
    return _turns.setdefault(loop, Turns())


@coroutine
def timed(work: Coroutine[Any, Any, object], took: Callable[[float], None]) -> Generator[Any, Any, None]:
    """Awaits ``work``, and reports the seconds of each step between two waits, in which the event loop stands still."""
    step: Callable[[Any], Any] = work.send
    argument = None
    while True:
        started = monotonic()
        try:
            awaited = step(argument)
        except StopIteration:
            return
        finally:
            took(monotonic() - started)
        try:
            step, argument = work.send, (yield awaited)
        except BaseException as error:
            step, argument = work.throw, error
