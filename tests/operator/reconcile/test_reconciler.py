"""The time of the next reconcile. tests/cluster covers the rest on a real API server."""

from typing import Any

import pytest

from market_operator.app import assemble
from market_operator.reconcile.reconciler import Requeue
from market_operator.resource.naming import Key
from market_operator.settings import Settings


class Empty:
    """A cluster without resources."""

    async def read(self, _: Key) -> None:
        """Not found."""


@pytest.mark.parametrize(("planned", "due"), [(None, 5.0), (9.0, 5.0), (2.0, 2.0)])
def test_requeue_at_most_is_never_later(planned: float | None, due: float) -> None:
    assert Requeue(planned, failed=True, retry_after=1.0).at_most(5.0) == Requeue(due, failed=True, retry_after=1.0)


async def test_missing_resource_is_checked_again_when_no_event_confirms_it() -> None:
    cluster: Any = Empty()
    app = assemble(Settings(), cluster, cluster)
    assert await app.reconciler.reconcile(Key("md", "okx-btc"), 0.0) == Requeue(5.0)
    app.informer.queue.close()
