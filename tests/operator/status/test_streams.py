"""The state of each stream, merged over replicas."""

from market_operator.observed.collectors import ProbeResult
from market_operator.status.streams import best_streams, count_live_streams, select_streams
from status_scenes import Scene, said


def test_one_replica_that_delivers_is_enough(scene: Scene) -> None:
    scene.want(replicas=2)
    stale = scene.streams("stale", "stale", "stale")["pod-1"]
    probes = {"pod-1": stale, "pod-2": ProbeResult(scene.report("pod-2"))}
    assert said(scene.snapshot(scene.pod(), scene.pod("pod-2"), probes=probes), "Streaming")[0] == "True"


def test_stream_has_its_best_state_over_all_replicas(scene: Scene) -> None:
    first = scene.streams("stale", "refused", "unheard-of")["pod-1"]
    states = zip(("trade", "orderbook", "ticker"), ("quiet", "pending", "refused"), strict=True)
    second = scene.report("pod-2", streams=[{"stream": f"BTC-USDT/{kind}", "state": state} for kind, state in states])
    snapshot = scene.snapshot(scene.pod(), scene.pod("pod-2"), probes={"pod-1": first, "pod-2": ProbeResult(second)})
    found = {name: stream.state for name, stream in best_streams(snapshot).items()}
    assert found == {"BTC-USDT/trade": "quiet", "BTC-USDT/orderbook": "pending", "BTC-USDT/ticker": "refused"}
    assert count_live_streams(snapshot) == (1, 3)


def test_stream_of_a_removed_symbol_is_not_counted(scene: Scene) -> None:
    probes = scene.streams("live", "live", "live")
    scene.want(symbol=None, symbols=["ETH-USDT"])
    assert count_live_streams(scene.snapshot(scene.pod(), probes=probes)) == (0, 3)


def test_selected_streams_are_ordered_by_name(scene: Scene) -> None:
    snapshot = scene.snapshot(scene.pod(), probes=scene.streams("stale", "stale", "live"))
    selected = select_streams(snapshot, lambda stream: stream.state == "stale")
    assert [stream.name for stream in selected] == ["BTC-USDT/orderbook", "BTC-USDT/trade"]
