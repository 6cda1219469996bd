"""The status for collectors that report problems, become stale, crash and recover."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from kstatus import kstatus

Start = Callable[..., Any]
Eventually = Callable[..., None]
RUNNING = {"running": {"startedAt": "2026-11-22T10:00:00Z"}}


def update_report(pod: Any, **fields: Any) -> None:
    pod.report = {**pod.report, **fields}


def test_stale_stream_is_reported_and_the_workload_stays_ready(place: Any, pod: Any) -> None:
    stale = {"stream": "BTC-USDT/trade", "state": "stale", "since": "2026-11-22T10:00:00Z", "reason": "NoData"}
    update_report(
        pod, health="Unhealthy", streams=[stale, *(s for s in pod.report["streams"] if "trade" not in s["stream"])]
    )
    message = place.expect("Streaming", "False", "StreamsStale")
    assert "BTC-USDT/trade (since 2026-11-22T10:00:00Z)" in message
    assert place.condition("Ready")[:2] == ("False", "StreamsStale")
    assert place.condition("WorkloadReady")[0] == "True"
    assert place.status()["unhealthyStreams"] == [
        {"stream": "BTC-USDT/trade", "reason": "stale: NoData", "since": "2026-11-22T10:00:00Z"}
    ]


def test_stale_symbol_is_named_and_the_other_five_are_not(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    symbols = ["ADA-USDT", "BTC-USDT", "DOGE-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"]
    place.create(symbols=symbols, healthCheckInterval="1s")
    [pod] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    before = times(place)
    stale_streams = [{**each, "state": "stale"} if "ETH" in each["stream"] else each for each in pod.report["streams"]]
    update_report(pod, streams=stale_streams, health="Degraded")
    message = place.expect("Streaming", "False", "StreamsStale")
    assert message.startswith("10 of 12 streams deliver")
    assert [symbol for symbol in symbols if symbol in message] == ["ETH-USDT"]
    status = place.status()
    assert status["streams"] == {"total": 12, "live": 10, "summary": "10/12"}
    assert [each["stream"] for each in status["unhealthyStreams"]] == ["ETH-USDT/orderbook", "ETH-USDT/trade"]
    after = times(place)
    assert {kind for kind in before if after[kind] != before[kind]} <= {"Ready", "Streaming"}, (
        "the other conditions kept their times"
    )


def times(place: Any) -> dict[str, str]:
    return {each["type"]: each["lastTransitionTime"] for each in place.status()["conditions"]}


def test_status_is_never_ahead_of_the_applied_spec(place: Any, pod: Any, kubelet: Any) -> None:
    """Whenever kstatus is Current, the Deployment mounts the configuration of the current spec."""
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
            time.sleep(0.05)
        assert kstatus(document) == "Current"
        assert {each["observedGeneration"] for each in status["conditions"]} == {generation}
        template = place.api.get("deployments", place.namespace, "okx-btc-0")["spec"]["template"]
        [name] = [each["configMap"]["name"] for each in template["spec"]["volumes"] if each["name"] == "config"]
        text = place.api.get("configmaps", place.namespace, name)["data"]["collector.json"]
        assert json.loads(text)["spec"]["staleAfter"] == stale_after


def test_resource_is_not_ready_when_its_spec_cannot_be_applied(place: Any, pod: Any, eventually: Eventually) -> None:
    """The old pod keeps streaming. A foreign Service has the name of the second shard."""
    service = {"metadata": {"name": "okx-btc-1"}, "spec": {"clusterIP": "None", "selector": {"app": "other"}}}
    place.api.create("services", place.namespace, service)
    edit = {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT"], "shards": 2}
    generation = place.change(**edit)["metadata"]["generation"]

    def is_failed() -> None:
        document = place.api.get("mcol", place.namespace, "okx-btc")
        assert document["status"]["observedGeneration"] == generation
        assert kstatus(document) == "Failed"

    eventually(is_failed)
    assert place.condition("Ready")[:2] == ("False", "ApplyFailed")
    assert "okx-btc-1" in place.condition("Stalled")[2]


def test_lost_connection_to_the_exchange_is_reported_until_it_returns(place: Any, pod: Any, kubelet: Any) -> None:
    well = pod.report
    down = {"name": "public", "state": "backoff", "since": "2026-11-22T10:01:00Z", "reason": "connection refused"}
    update_report(pod, connections=[down])
    update_report(pod, streams=[{**each, "state": "stale"} for each in well["streams"]], health="Unhealthy")
    kubelet.say(pod, RUNNING, ready=False)
    message = place.expect("Streaming", "False", "Disconnected")
    assert "since 2026-11-22T10:01:00Z: connection refused" in message
    assert place.condition("WorkloadReady")[0] == "True"
    pod.report = well
    kubelet.say(pod, RUNNING, ready=True)
    place.expect("Ready", "True", "Ready")


def test_short_reconnect_is_counted_and_changes_no_condition(place: Any, pod: Any, eventually: Eventually) -> None:
    before = place.status()["conditions"]
    reconnect = {"time": "2026-11-22T10:02:00Z", "reason": "closed by the exchange"}
    update_report(pod, counters={"messages": 200, "reconnections": 3}, lastReconnect=reconnect)

    def counted() -> None:
        status = place.status()
        assert (status["messages"], status["reconnections"], status["lastReconnect"]) == (200, 3, reconnect)

    eventually(counted)
    assert place.status()["conditions"] == before


def test_open_gap_degrades_until_it_is_filled(place: Any, pod: Any) -> None:
    gap = {"id": "1", "stream": "BTC-USDT/trade", "state": "open"}
    update_report(pod, gaps=[gap], counters={**pod.report["counters"], "gapsDetected": 1, "missingTrades": 5})
    place.expect("Complete", "False", "GapsOpen")
    status = place.status()
    assert {name: status["gaps"][name] for name in ("detected", "repaired", "open", "missingTrades")} == {
        "detected": 1,
        "repaired": 0,
        "open": 1,
        "missingTrades": 5,
    }
    assert (status["health"], place.condition("Ready")[0]) == ("Degraded", "True")
    update_report(pod, gaps=[{**gap, "state": "repaired"}])
    place.expect("Complete", "True", "NoGapsOpen")
    assert place.status()["health"] == "Healthy"


def test_an_unknown_symbol_is_named(place: Any, pod: Any) -> None:
    refused = [{**each, "state": "refused", "reason": "SymbolNotFound"} for each in pod.report["streams"]]
    update_report(pod, streams=refused, health="Unhealthy")
    assert "BTC-USDT" in place.expect("Accepted", "False", "SymbolNotFound")
    assert place.condition("Stalled")[0] == "True"
    place.change(symbol="ETH-USDT")
    assert place.status()["conditions"]


def test_failing_sink_is_reported(place: Any, pod: Any) -> None:
    update_report(
        pod, sinks=[{"name": "archive", "type": "file", "healthy": False, "error": "No space left on device"}]
    )
    assert "archive: No space left on device" in place.expect("SinksHealthy", "False", "SinkFailing")
    assert place.condition("Ready")[:2] == ("False", "SinkFailing")


def test_failed_probe_is_unknown_and_names_the_request(place: Any, pod: Any) -> None:
    pod.report = None
    message = place.expect("Streaming", "Unknown", "CollectorUnreachable", seconds=30)
    assert f"GET http://{pod.address}:8080/status was answered with status 503" in message
    assert place.condition("Ready")[:2] == ("Unknown", "CollectorUnreachable")
    assert place.status()["health"] == "Unknown"


def test_unknown_contract_is_unreachable(place: Any, pod: Any) -> None:
    update_report(pod, contract=2)
    message = place.expect("Streaming", "Unknown", "CollectorUnreachable", seconds=30)
    assert "speaks contract 2, this operator contract 1" in message


def test_crash_loop_is_reported_with_its_last_log_line(
    place: Any, pod: Any, kubelet: Any, eventually: Eventually
) -> None:
    eventually(lambda: rolled_out(place))
    last = {"terminated": {"reason": "Error", "exitCode": 2, "message": "starting\nconfig: bad symbol\n"}}
    kubelet.say(pod, {"waiting": {"reason": "CrashLoopBackOff"}}, ready=False, last_state=last, restarts=3)
    assert "last log line: config: bad symbol" in place.expect("WorkloadReady", "False", "CrashLooping")
    assert place.condition("Ready")[:2] == ("False", "CrashLooping")
    assert place.condition("Stalled")[0] == "True"


def rolled_out(place: Any) -> None:
    """Until then a rollout is in progress, and pods may still become ready in time."""
    conditions = place.api.get("deployments", place.namespace, "okx-btc-0")["status"]["conditions"]
    assert "NewReplicaSetAvailable" in {each["reason"] for each in conditions}


def test_exceeded_memory_is_reported(place: Any, pod: Any, kubelet: Any) -> None:
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    kubelet.say(pod, {"waiting": {"reason": "CrashLoopBackOff"}}, ready=False, last_state=last, restarts=3)
    assert "OOMKilled, exit code 137" in place.expect("WorkloadReady", "False", "OOMKilled")


def test_a_missing_secret_is_named(place: Any, pod: Any, kubelet: Any) -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "okx-key" not found'}
    kubelet.say(pod, {"waiting": waiting}, ready=False)
    assert "okx-key" in place.expect("Accepted", "False", "SecretNotFound")
    assert place.condition("Ready")[:2] == ("False", "SecretNotFound")


def test_missing_image_is_reported(place: Any, pod: Any, kubelet: Any) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere/nothing"'}
    kubelet.say(pod, {"waiting": waiting}, ready=False)
    assert "nowhere/nothing" in place.expect("WorkloadReady", "False", "ImagePullFailed")


def test_unschedulable_pod_is_reported(place: Any, start: Start) -> None:
    start()
    place.create()
    assert "node" in place.expect("WorkloadReady", "False", "Unschedulable")


def test_totals_grow_over_restarts_of_pods_and_operator(
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
    # The container restarts. Its termination message is newer than the last probe.
    final_report = say_status(pod, 0, [], counters={"messages": 130})
    pod.report = say_status(pod, 0, ["trade", "orderbook"], start="t2", counters={"messages": 5})
    last = {"terminated": {"exitCode": 1, "message": json.dumps(final_report)}}
    kubelet.say(pod, RUNNING, ready=True, last_state=last, restarts=1)
    total(135)
    # The operator is killed and started again. Nothing is counted twice.
    operator.process.kill()
    operator.process.wait()
    update_report(pod, counters={"messages": 7})
    start()
    total(137)
    # Another pod replaces the pod.
    update_report(pod, counters={"messages": 9})
    total(139)
    place.api.delete("pods", place.namespace, pod.name)
    kubelet.run_all(1)
    total(239)
    place.expect("Ready", "True", "Ready")


def test_restarts_without_an_operator_are_counted_once(
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
    final_report = say_status(pod, 0, [], counters={"messages": 130})
    pod.report = say_status(pod, 0, ["trade", "orderbook"], start="t2", counters={"messages": 5})
    last = {"terminated": {"exitCode": 1, "message": json.dumps(final_report)}}
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


def test_restarted_operator_changes_no_condition(place: Any, kubelet: Any, start: Start) -> None:
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
def test_stored_object_that_breaks_a_newer_rule_is_reported(
    place: Any, api: Any, start: Start, eventually: Eventually
) -> None:
    """After an upgrade of the CRD, a stored object can be older than a rule."""
    from market_operator.resource.crd import crd

    crd_path = "apis/apiextensions.k8s.io/v1/customresourcedefinitions/marketcollectors.marketcollector.dev"
    spec = crd()["spec"]
    lenient = json.loads(json.dumps(spec))
    stale = lenient["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["staleAfter"]
    del stale["x-kubernetes-validations"]
    api.call("PATCH", crd_path, {"spec": lenient}, "application/merge-patch+json")
    try:
        start()
        eventually(lambda: place.create(staleAfter="2h"))
        assert "out of range: must be 1s to 1h" in place.expect("Accepted", "False", "InvalidSpec")
        assert place.condition("Ready")[:2] == ("False", "InvalidSpec")
        assert place.names("deployments") == set()
    finally:
        api.call("PATCH", crd_path, {"spec": spec}, "application/merge-patch+json")


def test_repeated_evictions_are_reported_with_the_kubelets_words(place: Any, pod: Any, kubelet: Any) -> None:
    """vtmocanu/uzi #224. Between two evictions, a pod streams."""
    for number in (1, 2):
        kubelet.evict(pod, f"Pod ephemeral local storage usage exceeds the total limit ({number}).")
        [pod] = kubelet.run_all(1)
    message = place.expect("WorkloadReady", "False", "Evicted")
    assert "2 pods failed within 10 minutes" in message
    assert "Pod ephemeral local storage usage exceeds the total limit (2)." in message
    place.expect("Stalled", "True", "Evicted")
    place.change(logLevel="debug")
    kubelet.run_all(2)
    place.expect("Ready", "True", "Ready")


def test_rollout_that_a_quota_prevents_leaves_ready_alone(place: Any, pod: Any) -> None:
    """kubernetes #89209. A surge needs room for one more pod."""
    quota = {"metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    place.api.create("resourcequotas", place.namespace, quota)
    place.change(logLevel="debug")
    message = place.expect("WorkloadReady", "False", "QuotaExceeded")
    assert "exceeded quota: full" in message
    place.expect("Reconciling", "True", "QuotaExceeded")
    assert place.condition("Ready")[:2] == ("True", "Ready")
    assert place.status()["health"] == "Degraded"
    assert pod.name in place.names("pods")


def test_status_stays_true_however_many_failed_pods_pile_up(
    place: Any, pod: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    """envoyproxy/gateway #5228. The status lists runs, and the list has a limit."""
    for _ in range(34):
        kubelet.evict(pod)
        [pod] = kubelet.run_all(1)
        pod.report = {**pod.report, "counters": {"messages": 1}}

    def is_counted() -> None:
        assert place.status()["messages"] >= 35, "each pod counts, with its last report"
        [shard] = place.status()["shardStatuses"]
        assert len(shard["epochs"]) <= 32

    eventually(is_counted)
    place.change(symbol="ETH-USDT")
    eventually(lambda: place.condition("Reconciling"))
