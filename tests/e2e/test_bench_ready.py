"""A short run of the benchmark of the time until Ready."""

from __future__ import annotations

import pytest
from bench import ready

from e2e_places import Place

pytestmark = pytest.mark.e2e


def test_short_run_measures_both_sides(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "ROUNDS", 1)
    written = ready.measured(place)
    assert written["ready_s"]["median"] > 0
    assert written["ready_peer_s"]["median"] > 0
    assert written["ready_ratio"]["min"] > 0
