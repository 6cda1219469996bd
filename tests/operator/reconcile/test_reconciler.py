"""When a pass says that the next one is due; what passes do is tested on a real API server (tests/cluster)."""

from typing import Any

import pytest

from market_operator.app import assemble
from market_operator.reconcile.reconciler import Requeue
from market_operator.resource.naming import Key
from market_operator.settings import Settings


class Empty:
    """A cluster that knows of nothing."""

    async def read(self, _: Key) -> None:
        """Not found."""


@pytest.mark.parametrize(("planned", "due"), [(None, 5.0), (9.0, 5.0), (2.0, 2.0)])
def test_a_pass_is_due_at_the_latest_when_asked_for(planned: float | None, due: float) -> None:
    assert Requeue(planned, failed=True, retry_after=1.0).by(5.0) == Requeue(due, failed=True, retry_after=1.0)


async def test_what_is_said_to_be_gone_before_any_event_says_so_is_looked_at_again() -> None:
    cluster: Any = Empty()
    parts = assemble(Settings(), cluster, cluster)
    assert await parts.reconciler.reconcile(Key("md", "okx-btc"), 0.0) == Requeue(5.0)
    parts.queue.close()
