"""Streaming as a table of observed state and expected result."""

from dataclasses import replace
from typing import Any

import pytest

from market_operator.observed.collectors import ProbeResult
from market_operator.status.conditions import conditions
from market_operator.status.reasons import Reason
from market_operator.status.snapshot import Snapshot
from status_scenes import Scene, deployment, said


class TestStreaming:
    @pytest.mark.parametrize(
        ("states", "expected"),
        [
            (("live", "live", "live"), ("True", Reason.ALL_LIVE)),
            (("live", "quiet", "quiet"), ("True", Reason.ALL_LIVE)),
            (("live", "stale", "live"), ("False", Reason.STREAMS_STALE)),
            (("live", "pending", "live"), ("False", Reason.STREAMS_PENDING)),
            (("live", "refused", "live"), ("False", Reason.STREAMS_REFUSED)),
            (("refused", "stale", "pending"), ("False", Reason.STREAMS_STALE)),
            (("live", "unknown", "quiet"), ("Unknown", Reason.STREAMS_UNKNOWN)),
            (("live", "unknown", "stale"), ("False", Reason.STREAMS_STALE)),
        ],
    )
    def test_by_the_streams(self, scene: Scene, states: tuple[str, ...], expected: tuple[str, str]) -> None:
        assert said(scene.snapshot(scene.pod(), probes=scene.streams(*states)), "Streaming") == expected

    def test_the_stale_stream_is_named(self, scene: Scene) -> None:
        found = conditions(scene.snapshot(scene.pod(), probes=scene.streams("live", "stale", "live")))
        assert found["Streaming"].message == (
            "2 of 3 streams deliver; no data for longer than spec.staleAfter: "
            "BTC-USDT/orderbook (since 2026-11-22T10:00:00Z)"
        )

    def test_stream_whose_market_could_not_be_checked_is_named_with_the_cause(self, scene: Scene) -> None:
        stream = {"stream": "BTC-USDT/trade", "state": "unknown", "reason": "NotConfirmed", "message": "HTTP 403"}
        probes = {"pod-1": ProbeResult(scene.report(streams=[stream]))}
        found = conditions(scene.snapshot(scene.pod(), probes=probes))
        assert found["Streaming"].message == "0 of 3 streams deliver; quiet or stale: BTC-USDT/trade: HTTP 403"
        assert (found["Ready"].status, found["Ready"].reason) == ("Unknown", Reason.STREAMS_UNKNOWN)

    @pytest.mark.parametrize("state", ["stale", "pending"])
    def test_unreadable_messages_of_a_stream_are_the_cause(self, scene: Scene, state: str) -> None:
        words = "OKX frame cannot be read: '-' is not a plain decimal"
        streams = [
            {"stream": "BTC-USDT/orderbook", "state": state, "reason": "NoData", "message": "no data"},
            {"stream": "BTC-USDT/trade", "state": state, "reason": "Unreadable", "message": words},
        ]
        found = conditions(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(streams=streams))}))
        assert found["Streaming"].message.endswith(f": BTC-USDT/orderbook, BTC-USDT/trade: {words}")

    def test_quiet_streams_of_a_suspended_instrument_are_named(self, scene: Scene) -> None:
        names = ("trade", "orderbook", "ticker")
        halted = {"state": "quiet", "reason": "NotTrading", "message": "its instrument's state is suspend"}
        streams = [{"stream": f"BTC-USDT/{name}", **halted} for name in names]
        probes = {"pod-1": ProbeResult(scene.report(streams=streams))}
        found = conditions(scene.snapshot(scene.pod(), probes=probes))
        assert found["Streaming"].status == "True"
        assert found["Streaming"].message == (
            "3 of 3 streams deliver; not trading: BTC-USDT (its instrument's state is suspend)"
        )

    def test_running_process_without_streams_is_not_streaming(self, scene: Scene) -> None:
        probes = {"pod-1": ProbeResult(scene.report(streams=[], health="Healthy"))}
        assert said(scene.snapshot(scene.pod(), probes=probes), "Streaming") == ("False", Reason.STREAMS_PENDING)

    def gone(self, scene: Scene, state: str, connection: str = "backoff") -> Snapshot:
        streams = [{"stream": f"BTC-USDT/{kind}", "state": state} for kind in ("trade", "orderbook", "ticker")]
        down = {"name": "public", "state": connection, "since": "2026-11-22T10:00:00Z", "reason": "refused"}
        probe = ProbeResult(scene.report(streams=streams, connections=[down], health="Unhealthy"))
        return scene.snapshot(scene.pod(ready=False), probes={"pod-1": probe})

    def test_workload_stays_ready_when_the_exchange_is_down(self, scene: Scene) -> None:
        found = conditions(self.gone(scene, "stale"))
        assert (found["Streaming"].status, found["Streaming"].reason) == ("False", Reason.DISCONNECTED)
        assert found["Streaming"].message.endswith("no connection to the exchange since 2026-11-22T10:00:00Z: refused")
        assert found["WorkloadReady"].status == "True"
        assert "Stalled" not in found

    def test_short_reconnect_changes_no_condition(self, scene: Scene) -> None:
        found = conditions(self.gone(scene, "live"))
        assert (found["Streaming"].status, found["Ready"].status) == ("True", "True")

    def test_disconnected_collector_is_stalled_when_it_gave_up(self, scene: Scene) -> None:
        scene.want(autoRestart=False)
        found = conditions(self.gone(scene, "stale", "stopped"))
        assert found["Streaming"].reason == Reason.RECONNECTS_EXHAUSTED
        assert found["Stalled"].reason == Reason.RECONNECTS_EXHAUSTED

    def excluded(self, scene: Scene, *others: dict[str, str], state: str = "backoff", **fields: Any) -> Snapshot:
        """A pod with a connection that the exchange refuses by region, and others."""
        streams = [{"stream": f"BTC-USDT/{kind}", "state": "stale"} for kind in ("trade", "orderbook", "ticker")]
        reason = "RegionRestricted: wss://x: refused: HTTP 451: restricted location"
        refused = {"name": "a", "state": state, "since": "2026-11-22T10:00:00Z", "problem": "RegionRestricted"}
        connections = [refused | {"reason": reason}, *others]
        probe = ProbeResult(scene.report(streams=streams, connections=connections, health="Unhealthy"))
        return scene.snapshot(scene.pod(ready=False), probes={"pod-1": probe}, **fields)

    @pytest.mark.parametrize("state", ["backoff", "connecting"])
    def test_exclusion_of_the_region_has_the_exchanges_words(self, scene: Scene, state: str) -> None:
        found = conditions(
            self.excluded(scene, {"name": "b", "state": state, "problem": "RegionRestricted"}, state=state)
        )
        for kind in ("Ready", "Streaming"):
            assert (found[kind].status, found[kind].reason) == ("False", Reason.REGION_RESTRICTED)
        words = "since 2026-11-22T10:00:00Z: RegionRestricted: wss://x: refused: HTTP 451: restricted location. Run the pods"
        assert words in found["Ready"].message
        assert found["Stalled"].reason == Reason.REGION_RESTRICTED

    def test_connection_down_for_another_reason_is_no_exclusion(self, scene: Scene) -> None:
        snapshot = self.excluded(scene, {"name": "b", "state": "backoff", "reason": "reset"})
        assert said(snapshot, "Streaming") == ("False", Reason.DISCONNECTED)

    def test_excluded_connection_beside_a_working_one_is_not_the_reason(self, scene: Scene) -> None:
        snapshot = self.excluded(scene, {"name": "b", "state": "connected"})
        assert said(snapshot, "Streaming") == ("False", Reason.STREAMS_STALE)

    def test_rollout_to_another_region_is_not_stalled(self, scene: Scene) -> None:
        """A tool that waits fails at Stalled."""
        old = self.excluded(scene)
        scene.want(staleAfter="1m")
        found = conditions(replace(old, desired=scene.desired, deployments={0: deployment()}))
        assert found["Streaming"].reason == Reason.REGION_RESTRICTED
        assert "Stalled" not in found
        assert found["Reconciling"].reason == Reason.ROLLING_OUT

    def test_a_shard_without_a_pod_does_not_stream(self, scene: Scene) -> None:
        assert said(scene.snapshot(), "Streaming") == ("False", Reason.COLLECTOR_NOT_RUNNING)

    def test_known_problem_precedes_a_failed_probe(self, scene: Scene) -> None:
        scene.want(symbols=["A-B", "C-D"], shards=2)
        stale = scene.report("pod-1", streams=[{"stream": "A-B/trade", "state": "stale"}])
        probes = {"pod-1": ProbeResult(stale), "pod-2": ProbeResult(None, "timed out", 0.0)}
        snapshot = scene.snapshot(scene.pod(), scene.pod("pod-2", 1), probes=probes)
        assert said(snapshot, "Streaming") == ("False", Reason.STREAMS_STALE)


def test_messages_stay_short_with_hundreds_of_streams(scene: Scene) -> None:
    symbols = [f"C{number}-USDT" for number in range(500)]
    scene.want(symbols=symbols, dataTypes=["trade"])
    streams = [{"stream": f"{symbol}/trade", "state": "stale"} for symbol in symbols]
    found = conditions(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(streams=streams))}))
    assert found["Streaming"].message.endswith("and 495 more")
