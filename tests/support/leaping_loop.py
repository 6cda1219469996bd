"""An event loop on a simulated clock: instead of waiting it moves the clock, so hours pass at once."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from market_collector.model.moment import Moment

T = TypeVar("T")


class LeapingSelector(selectors.SelectSelector):
    """Instead of waiting it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Move the clock to the next timer."""
        assert timeout is not None, "nothing will ever happen"
        self.now += max(timeout, 0.0)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """Its time starts at 0 and moves only to the next timer."""

    def __init__(self) -> None:
        self.selector = LeapingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        """Seconds of the simulated clock."""
        return self.selector.now


def leap(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work that runs on the simulated clock."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(work)


def clock() -> Moment:
    """The present moment of the simulated clock."""
    now = asyncio.get_running_loop().time()
    return Moment(now, int(now * 1e9))
