"""Complete and SinksHealthy by the reported gaps and sinks."""

import pytest

from market_operator.observed.collectors import ProbeResult
from market_operator.status.conditions import conditions, health
from market_operator.status.reasons import Reason
from status_scenes import Scene, said


class TestComplete:
    def test_open_gap_degrades_but_the_resource_stays_ready(self, scene: Scene) -> None:
        gap = {"id": "1", "stream": "BTC-USDT/trade", "state": "open"}
        found = conditions(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(gaps=[gap]))}))
        assert (found["Complete"].status, found["Complete"].reason) == ("False", Reason.GAPS_OPEN)
        assert found["Complete"].message == "1 gap open in BTC-USDT/trade"
        assert found["Ready"].status == "True"
        assert health(found) == "Degraded"

    @pytest.mark.parametrize("state", ["repaired", "lost"])
    def test_filled_or_lost_gap_is_not_open(self, scene: Scene, state: str) -> None:
        gap = {"id": "1", "stream": "BTC-USDT/trade", "state": state}
        assert (
            said(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(gaps=[gap]))}), "Complete")[0]
            == "True"
        )


def test_failing_sink_makes_the_resource_not_ready(scene: Scene) -> None:
    sink = {"name": "archive", "type": "file", "healthy": False, "error": "read-only file system"}
    found = conditions(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(sinks=[sink]))}))
    assert found["SinksHealthy"].reason == Reason.SINK_FAILING
    assert found["Ready"].message == "1 sink cannot write: archive: read-only file system"
