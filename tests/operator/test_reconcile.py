"""When a pass says that the next one is due; what passes do is tested on a real API server (tests/cluster)."""

import pytest

from market_operator.reconcile import Again


@pytest.mark.parametrize(("planned", "due"), [(None, 5.0), (9.0, 5.0), (2.0, 2.0)])
def test_a_pass_is_due_at_the_latest_when_asked_for(planned: float | None, due: float) -> None:
    assert Again(planned, failed=True, retry_after=1.0).by(5.0) == Again(due, failed=True, retry_after=1.0)
