"""K: what the status says about collectors that tell this or that, fall silent, crash and come back."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from kstatus import kstatus

Start = Callable[..., Any]
Eventually = Callable[..., None]
RUNNING = {"running": {"startedAt": "2026-11-22T10:00:00Z"}}


def tell(pod: Any, **fields: Any) -> None:
    pod.report = {**pod.report, **fields}


def test_a_silent_stream_is_told_and_the_pod_not_blamed(place: Any, pod: Any) -> None:
    stale = {"stream": "BTC-USDT/trade", "state": "stale", "since": "2026-11-22T10:00:00Z", "reason": "NoData"}
    tell(pod, health="Unhealthy", streams=[stale, *(s for s in pod.report["streams"] if "trade" not in s["stream"])])
    message = place.expect("Streaming", "False", "StreamsStale")
    assert "BTC-USDT/trade (since 2026-11-22T10:00:00Z)" in message
    assert place.condition("Ready")[:2] == ("False", "StreamsStale")
    assert place.condition("WorkloadReady")[0] == "True"
    assert place.status()["unhealthyStreams"] == [
        {"stream": "BTC-USDT/trade", "reason": "stale: NoData", "since": "2026-11-22T10:00:00Z"}
    ]


def test_one_of_six_symbols_that_is_dead_is_named_and_the_others_are_not(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    symbols = ["ADA-USDT", "BTC-USDT", "DOGE-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"]
    place.create(symbols=symbols, healthCheckInterval="1s")
    [pod] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    before = times(place)
    dead = [{**each, "state": "stale"} if "ETH" in each["stream"] else each for each in pod.report["streams"]]
    tell(pod, streams=dead, health="Degraded")
    message = place.expect("Streaming", "False", "StreamsStale")
    assert message.startswith("10 of 12 streams deliver")
    assert [symbol for symbol in symbols if symbol in message] == ["ETH-USDT"]
    status = place.status()
    assert status["streams"] == {"total": 12, "live": 10, "summary": "10/12"}
    assert [each["stream"] for each in status["unhealthyStreams"]] == ["ETH-USDT/orderbook", "ETH-USDT/trade"]
    after = times(place)
    assert {kind for kind in before if after[kind] != before[kind]} <= {"Ready", "Streaming"}, "the others stayed"


def times(place: Any) -> dict[str, str]:
    return {each["type"]: each["lastTransitionTime"] for each in place.status()["conditions"]}


def test_what_is_said_is_never_ahead_of_what_was_applied(place: Any, pod: Any, kubelet: Any) -> None:
    """Whenever tools would call the resource current, the Deployment mounts what its present spec says."""
    for stale_after in ("7s", "9s"):
        place.change(staleAfter=stale_after)
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            document = place.api.get("mcol", place.namespace, "okx-btc")
            generation, status = document["metadata"]["generation"], document["status"]
            assert all(each["observedGeneration"] <= generation for each in (status, *status["conditions"]))
            if kstatus(document) == "Current":
                break
            kubelet.catch_up()
        assert kstatus(document) == "Current"
        assert {each["observedGeneration"] for each in status["conditions"]} == {generation}
        template = place.api.get("deployments", place.namespace, "okx-btc-0")["spec"]["template"]
        [name] = [each["configMap"]["name"] for each in template["spec"]["volumes"] if "configMap" in each]
        text = place.api.get("configmaps", place.namespace, name)["data"]["collector.json"]
        assert json.loads(text)["spec"]["staleAfter"] == stale_after


def test_a_spec_that_could_not_be_written_is_not_called_ready(place: Any, pod: Any, eventually: Eventually) -> None:
    """The old pod streams on, and the second shard's name is taken by somebody else's Service."""
    service = {"metadata": {"name": "okx-btc-1"}, "spec": {"clusterIP": "None", "selector": {"app": "other"}}}
    place.api.create("services", place.namespace, service)
    edit = {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT"], "shards": 2}
    generation = place.change(**edit)["metadata"]["generation"]

    def told() -> None:
        document = place.api.get("mcol", place.namespace, "okx-btc")
        assert document["status"]["observedGeneration"] == generation
        assert kstatus(document) == "Failed"

    eventually(told)
    assert place.condition("Ready")[:2] == ("False", "ApplyFailed")
    assert "okx-btc-1" in place.condition("Stalled")[2]


def test_the_exchange_goes_and_comes_back(place: Any, pod: Any, kubelet: Any) -> None:
    well = pod.report
    down = {"name": "public", "state": "backoff", "since": "2026-11-22T10:01:00Z", "reason": "connection refused"}
    tell(pod, connections=[down])
    tell(pod, streams=[{**each, "state": "stale"} for each in well["streams"]], health="Unhealthy")
    kubelet.say(pod, RUNNING, ready=False)
    message = place.expect("Streaming", "False", "Disconnected")
    assert "since 2026-11-22T10:01:00Z: connection refused" in message
    assert place.condition("WorkloadReady")[0] == "True"
    pod.report = well
    kubelet.say(pod, RUNNING, ready=True)
    place.expect("Ready", "True", "Ready")


def test_a_short_reconnect_counts_and_changes_no_condition(place: Any, pod: Any, eventually: Eventually) -> None:
    before = place.status()["conditions"]
    reconnect = {"time": "2026-11-22T10:02:00Z", "reason": "closed by the exchange"}
    tell(pod, counters={"messages": 200, "reconnections": 3}, lastReconnect=reconnect)

    def counted() -> None:
        status = place.status()
        assert (status["messages"], status["reconnections"], status["lastReconnect"]) == (200, 3, reconnect)

    eventually(counted)
    assert place.status()["conditions"] == before


def test_an_open_hole_degrades_and_heals(place: Any, pod: Any) -> None:
    gap = {"id": "1", "stream": "BTC-USDT/trade", "state": "open"}
    tell(pod, gaps=[gap], counters={**pod.report["counters"], "gapsDetected": 1, "missingTrades": 5})
    place.expect("Complete", "False", "GapsOpen")
    status = place.status()
    assert {name: status["gaps"][name] for name in ("detected", "repaired", "open", "missingTrades")} == {
        "detected": 1,
        "repaired": 0,
        "open": 1,
        "missingTrades": 5,
    }
    assert (status["health"], place.condition("Ready")[0]) == ("Degraded", "True")
    tell(pod, gaps=[{**gap, "state": "repaired"}])
    place.expect("Complete", "True", "NoGapsOpen")
    assert place.status()["health"] == "Healthy"


def test_an_unknown_symbol_is_named(place: Any, pod: Any) -> None:
    refused = [{**each, "state": "refused", "reason": "SymbolNotFound"} for each in pod.report["streams"]]
    tell(pod, streams=refused, health="Unhealthy")
    assert "BTC-USDT" in place.expect("Accepted", "False", "SymbolNotFound")
    assert place.condition("Stalled")[0] == "True"
    place.change(symbol="ETH-USDT")
    assert place.status()["conditions"]


def test_a_sink_that_cannot_write_is_told(place: Any, pod: Any) -> None:
    tell(pod, sinks=[{"name": "archive", "type": "file", "healthy": False, "error": "No space left on device"}])
    assert "archive: No space left on device" in place.expect("SinksHealthy", "False", "SinkFailing")
    assert place.condition("Ready")[:2] == ("False", "SinkFailing")


def test_could_not_look_is_unknown_with_what_was_tried(place: Any, pod: Any) -> None:
    pod.report = None
    message = place.expect("Streaming", "Unknown", "CollectorUnreachable", seconds=30)
    assert f"GET http://{pod.address}:8080/status was answered with status 503" in message
    assert place.condition("Ready")[:2] == ("Unknown", "CollectorUnreachable")
    assert place.status()["health"] == "Unknown"


def test_a_contract_that_we_do_not_know_is_not_guessed_at(place: Any, pod: Any) -> None:
    tell(pod, contract=2)
    message = place.expect("Streaming", "Unknown", "CollectorUnreachable", seconds=30)
    assert "speaks contract 2, this operator contract 1" in message


def test_a_crash_loop_is_told_with_its_reason(place: Any, pod: Any, kubelet: Any, eventually: Eventually) -> None:
    eventually(lambda: rolled_out(place))
    last = {"terminated": {"reason": "Error", "exitCode": 2, "message": "starting\nconfig: bad symbol\n"}}
    kubelet.say(pod, {"waiting": {"reason": "CrashLoopBackOff"}}, ready=False, last_state=last, restarts=3)
    assert "last log line: config: bad symbol" in place.expect("WorkloadReady", "False", "CrashLooping")
    assert place.condition("Ready")[:2] == ("False", "CrashLooping")
    assert place.condition("Stalled")[0] == "True"


def rolled_out(place: Any) -> None:
    """Before that Kubernetes gives the pods time, and so do we."""
    said = place.api.get("deployments", place.namespace, "okx-btc-0")["status"]["conditions"]
    assert "NewReplicaSetAvailable" in {each["reason"] for each in said}


def test_too_little_memory_is_told_as_such(place: Any, pod: Any, kubelet: Any) -> None:
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    kubelet.say(pod, {"waiting": {"reason": "CrashLoopBackOff"}}, ready=False, last_state=last, restarts=3)
    assert "OOMKilled, exit code 137" in place.expect("WorkloadReady", "False", "OOMKilled")


def test_a_missing_secret_is_named(place: Any, pod: Any, kubelet: Any) -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "okx-key" not found'}
    kubelet.say(pod, {"waiting": waiting}, ready=False)
    assert "okx-key" in place.expect("Accepted", "False", "SecretNotFound")
    assert place.condition("Ready")[:2] == ("False", "SecretNotFound")


def test_an_image_that_does_not_exist_is_told(place: Any, pod: Any, kubelet: Any) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere/nothing"'}
    kubelet.say(pod, {"waiting": waiting}, ready=False)
    assert "nowhere/nothing" in place.expect("WorkloadReady", "False", "ImagePullFailed")


def test_a_pod_that_fits_no_node_is_told(place: Any, start: Start) -> None:
    start()
    place.create()
    assert "node" in place.expect("WorkloadReady", "False", "Unschedulable")


def test_l_totals_grow_over_restarts_of_pods_and_operator(
    place: Any, kubelet: Any, start: Start, say_status: Callable[..., Any], eventually: Eventually
) -> None:
    operator = start()
    place.create(healthCheckInterval="1s")
    [pod] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")

    def total(expected: int) -> None:
        def claim() -> None:
            assert place.status()["messages"] == expected

        eventually(claim)

    total(100)
    # The container restarts: its last words are newer than the last look.
    words = say_status(pod, 0, [], counters={"messages": 130})
    pod.report = say_status(pod, 0, ["trade", "orderbook"], start="t2", counters={"messages": 5})
    last = {"terminated": {"exitCode": 1, "message": json.dumps(words)}}
    kubelet.say(pod, RUNNING, ready=True, last_state=last, restarts=1)
    total(135)
    # The operator is killed and started again: nothing counts twice.
    operator.process.kill()
    operator.process.wait()
    tell(pod, counters={"messages": 7})
    start()
    total(137)
    # The pod is gone and another takes its place.
    tell(pod, counters={"messages": 9})
    total(139)
    place.api.delete("pods", place.namespace, pod.name)
    kubelet.run_all(1)
    total(239)
    place.expect("Ready", "True", "Ready")


def test_l_what_restarts_while_no_operator_runs_counts_once(
    place: Any, kubelet: Any, start: Start, say_status: Callable[..., Any], eventually: Eventually
) -> None:
    """The container restarts, then the pod is replaced, each time with the operator down."""
    operator = start()
    place.create(healthCheckInterval="1s")
    [pod] = kubelet.run_all(1)

    def total(expected: int) -> None:
        def claim() -> None:
            assert place.status()["messages"] == expected

        eventually(claim)

    def kill(running: Any) -> None:
        running.process.kill()
        running.process.wait()

    total(100)
    kill(operator)
    words = say_status(pod, 0, [], counters={"messages": 130})
    pod.report = say_status(pod, 0, ["trade", "orderbook"], start="t2", counters={"messages": 5})
    last = {"terminated": {"exitCode": 1, "message": json.dumps(words)}}
    kubelet.say(pod, RUNNING, ready=True, last_state=last, restarts=1)
    operator = start()
    total(135)
    kill(operator)
    place.api.delete("pods", place.namespace, pod.name)
    kubelet.run_all(1)
    operator = start()
    total(235)
    kill(operator)
    start()
    place.expect("Ready", "True", "Ready")
    total(235)


def test_an_operator_that_is_started_again_says_nothing_else(place: Any, kubelet: Any, start: Start) -> None:
    operator = start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    before = place.status()["conditions"]
    operator.process.kill()
    operator.process.wait()
    again = start()
    place.expect("Ready", "True", "Ready")
    assert place.status()["conditions"] == before
    assert again.metric("api_writes_total") == 0


@pytest.mark.alone  # changes the CRD
def test_an_old_object_that_breaks_a_newer_rule_is_told(
    place: Any, api: Any, start: Start, eventually: Eventually
) -> None:
    """As after an upgrade of the definition: the stored object is older than the rule."""
    from market_operator.resource.crd import crd

    definition = "apis/apiextensions.k8s.io/v1/customresourcedefinitions/marketcollectors.marketcollector.dev"
    ours = crd()["spec"]
    lax = json.loads(json.dumps(ours))
    stale = lax["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["staleAfter"]
    del stale["x-kubernetes-validations"]
    api.call("PATCH", definition, {"spec": lax}, "application/merge-patch+json")
    try:
        start()
        eventually(lambda: place.create(staleAfter="2h"))
        assert "out of range: must be 1s to 1h" in place.expect("Accepted", "False", "InvalidSpec")
        assert place.condition("Ready")[:2] == ("False", "InvalidSpec")
        assert place.names("deployments") == set()
    finally:
        api.call("PATCH", definition, {"spec": ours}, "application/merge-patch+json")
