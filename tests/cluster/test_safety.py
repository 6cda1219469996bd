"""Isolation of collectors and cluster: policies, disruption budgets, Pod Security, checked by the API server."""

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.cluster.conftest import resource

from market_operator.manifests.build import build_desired_state
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.resource.document import read_resource

Start = Callable[..., Any]
Eventually = Callable[..., None]
OPERATOR = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "market-operator"}}}
ANYBODY = {"topologyKey": "zone", "labelSelector": {"matchLabels": {}, "matchExpressions": []}, "namespaces": []}
EVERYTHING = {
    "labels": {"team": "a"},
    "annotations": {"note": "b"},
    "resources": {"requests": {"cpu": "0.5"}, "limits": {"memory": "128Mi"}},
    "tolerations": [],
    "nodeSelector": {},
    "affinity": {"nodeAffinity": {}, "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [ANYBODY]}},
    "env": [{"name": "SSL_CERT_FILE", "value": "/tls/ca.crt"}, {"name": "EMPTY"}],
    "volumes": [
        {"name": "a", "configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}], "optional": True}},
        {"name": "b", "secret": {"secretName": "client", "defaultMode": 256, "optional": False}},
        {"name": "c", "emptyDir": {"sizeLimit": "1024Mi"}},
        {"name": "d", "persistentVolumeClaim": {"claimName": "instruments", "readOnly": False}},
        {"name": "e", "projected": {"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}]}},
    ],
    "volumeMounts": [
        {"name": "a", "mountPath": "/tls", "readOnly": True},
        {"name": "b", "mountPath": "/client", "subPath": "client.crt", "readOnly": False},
        {"name": "c", "mountPath": "/scratch"},
        {"name": "d", "mountPath": "/instruments"},
        {"name": "e", "mountPath": "/all"},
    ],
}
SINKS = [
    {"name": "out", "type": "stdout"},
    {"name": "kept", "type": "file", "file": {"directory": "/kept", "claimName": "disk"}},
    {"name": "short", "type": "file", "file": {"directory": "/short"}},
]


def test_disruption_budget_exists_only_with_several_replicas(place: Any, start: Start, eventually: Eventually) -> None:
    start()
    place.create(symbols=["A-B", "C-D"], shards=2)
    eventually(lambda: place.api.get("deployments", place.namespace, "okx-btc-1"))
    assert place.names("poddisruptionbudgets") == set(), "one pod that may not be evicted would block every drain"
    place.change(replicas=2)

    def protected() -> None:
        budgets = place.api.all("poddisruptionbudgets", place.namespace)
        assert [each["metadata"]["name"] for each in budgets] == ["okx-btc-0", "okx-btc-1"]
        for budget in budgets:
            shard = budget["metadata"]["name"][-1]
            assert budget["spec"]["maxUnavailable"] == 1
            assert budget["spec"]["selector"]["matchLabels"]["marketcollector.dev/shard"] == shard

    eventually(protected)
    place.change(replicas=1)

    def unprotected() -> None:
        assert place.names("poddisruptionbudgets") == set()

    eventually(unprotected)


def test_only_several_replicas_are_spread_over_nodes(place: Any, start: Start, eventually: Eventually) -> None:
    start()
    place.create()
    eventually(lambda: place.api.get("deployments", place.namespace, "okx-btc-0"))
    one = place.api.get("deployments", place.namespace, "okx-btc-0")["spec"]
    assert "topologySpreadConstraints" not in one["template"]["spec"]
    assert one["minReadySeconds"] == 5
    place.change(replicas=2)

    def spread() -> None:
        spec = place.api.get("deployments", place.namespace, "okx-btc-0")["spec"]["template"]["spec"]
        assert [each["topologyKey"] for each in spec["topologySpreadConstraints"]] == ["kubernetes.io/hostname"]

    eventually(spread)


def test_resource_has_one_policy_while_policies_are_enabled(place: Any, start: Start, eventually: Eventually) -> None:
    name = "n" * 63 + ("." + "n" * 63) * 2 + "." + "n" * 61
    proxy = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 3128, "protocol": "TCP"}]}
    blocked = ("--block", "169.254.0.0/16", "--block", "fd00:ec2::/32")
    options = ("--allow-from", json.dumps(OPERATOR), "--allow-to", json.dumps(proxy), *blocked)
    first = start(*options)
    place.create(symbols=["A-B", "C-D"], shards=2)
    place.create(name)

    def limited() -> None:
        found = {each["metadata"]["annotations"]["marketcollector.dev/resource"]: each for each in policies(place)}
        assert sorted(found) == sorted(["okx-btc", name])
        spec = found["okx-btc"]["spec"]
        assert spec["podSelector"]["matchLabels"] == {"marketcollector.dev/collector": "okx-btc"}
        siblings = {"podSelector": {"matchLabels": {"marketcollector.dev/collector": "okx-btc"}}}
        assert spec["ingress"] == [{"from": [OPERATOR, siblings], "ports": [{"port": 8080, "protocol": "TCP"}]}]
        assert proxy in spec["egress"]
        blocks = [peer["ipBlock"] for peer in spec["egress"][1]["to"]]
        assert [each["except"] for each in blocks] == [["169.254.0.0/16"], ["fd00:ec2::/32"]]

    eventually(limited)
    first.stop()
    start()

    def free() -> None:
        assert policies(place) == []

    eventually(free)


def policies(place: Any) -> list[Any]:
    found: list[Any] = place.api.all("networkpolicies", place.namespace)
    return found


def test_policy_selects_the_pods_of_every_shard(place: Any, start: Start, kubelet: Any) -> None:
    start("--allow-from", json.dumps(OPERATOR))
    place.create(symbols=["A-B", "C-D"], shards=2, replicas=2)
    kubelet.run_all(4)
    [policy] = policies(place)
    selected = policy["spec"]["podSelector"]["matchLabels"].items()
    assert all(selected <= pod["metadata"]["labels"].items() for pod in kubelet.living())


def test_policy_that_would_block_the_operator_is_refused(start: Start) -> None:
    operator = start("--allow-from", json.dumps(OPERATOR), "--health-via", "proxy", wait=False)
    assert operator.process.wait(timeout=20) == 1
    assert "--allow-from: would block the operator's own probes" in operator.log.read_text()


def test_normalized_fields_cause_no_second_write(place: Any, start: Start, eventually: Eventually) -> None:
    start("--allow-from", json.dumps(OPERATOR))
    place.create(template=EVERYTHING, sinks=SINKS)
    place.create("two", template={**EVERYTHING, "topologySpreadConstraints": []}, replicas=2)
    for name in ("okx-btc", "two"):
        place.expect("WorkloadReady", "False", "Unschedulable", name)
    before = settled_versions(place)
    second = start("--allow-from", json.dumps(OPERATOR), "--sweep-interval", "1s")
    eventually(lambda: expect(second.metric("sweeps_total") > 1))
    assert second.metric("api_writes_total") == 0
    assert settled_versions(place) == before


def expect(claim: bool) -> None:
    assert claim


def settled_versions(place: Any) -> dict[str, str]:
    """Resource versions of the objects that only the operator writes, after 2 s without a write."""
    before: dict[str, str] = {}
    while (now := place.api.versions(place.namespace)) != before:
        before = now
        time.sleep(2)
    return before


@pytest.fixture
def restricted(api: Any) -> Iterator[str]:
    """A namespace that enforces the restricted Pod Security Standard."""
    name = f"op-{uuid.uuid4().hex[:8]}"
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    api.call("POST", "api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    yield name
    api.call("DELETE", f"api/v1/namespaces/{name}")


def pod_of(spec: dict[str, Any], namespace: str) -> dict[str, Any]:
    fields = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"], **spec}
    meta = {"name": "okx-btc", "namespace": namespace, "uid": "u", "resourceVersion": "1"}
    found = build_desired_state(read_resource({"metadata": meta, "spec": fields}), "image:1", NetworkRules()).children[
        -1
    ]
    template = found["spec"]["template"]
    return {"metadata": {"generateName": "probe-", **template["metadata"]}, "spec": template["spec"]}


@pytest.mark.parametrize(
    "spec", [{}, {"template": EVERYTHING, "sinks": SINKS}, {"replicas": 2}], ids=["least", "everything", "replicas"]
)
def test_every_collectors_pod_meets_the_restricted_standard(api: Any, restricted: str, spec: dict[str, Any]) -> None:
    path = f"api/v1/namespaces/{restricted}/pods?dryRun=All"
    made = api.call("POST", path, pod_of(spec, restricted))
    assert made["spec"]["automountServiceAccountToken"] is False
    assert not [each for each in made["spec"]["volumes"] if "projected" in each and each["name"] != "e"], "no token"


@pytest.mark.parametrize("part", ["seccompProfile", "runAsNonRoot"])
def test_restricted_namespace_refuses_a_pod_without_the_field(api: Any, restricted: str, part: str) -> None:
    pod = pod_of({}, restricted)
    del pod["spec"]["securityContext"][part]
    with pytest.raises(Exception, match="violates PodSecurity"):
        api.call("POST", f"api/v1/namespaces/{restricted}/pods?dryRun=All", pod)


EARLIEST = "0001-01-01T00:00:00+23:59"
"""A time whose moment in UTC does not exist."""


def create_deep(namespace: str, depth: int) -> None:
    """Creates a resource that is nested more deeply than Python's own limit."""
    document = json.dumps(resource("deep", template={"dnsConfig": {"x": "DEEP"}}))
    text = document.replace('"DEEP"', '{"x":' * depth + "{}" + "}" * depth)
    create = ["kubectl", "-n", namespace, "create", "-f", "-"]
    done = subprocess.run(create, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("depth", [1_200, 9_000])
def test_resource_with_deep_managed_fields_is_served(place: Any, start: Start, depth: int) -> None:
    """The API server stores managedFields as a writer sends them, also of an object whose schema is typed."""
    api = "/apis/marketcollector.dev/v1alpha1/namespaces"
    document = resource("deep")
    writer = {"manager": "me", "operation": "Update", "apiVersion": document["apiVersion"]}
    document["metadata"]["managedFields"] = [{**writer, "fieldsType": "FieldsV1", "fieldsV1": "DEEP"}]
    text = json.dumps(document).replace('"DEEP"', '{"f:x":' * depth + "{}" + "}" * depth)
    create = ["kubectl", "create", "--raw", f"{api}/{place.namespace}/marketcollectors", "-f", "-"]
    done = subprocess.run(create, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for _ in ("new", "listed after a restart"):
        operator = start()
        wait = ["kubectl", "-n", place.namespace, "wait", "mcol/deep", "--for=jsonpath={.status.observedGeneration}=1"]
        done = subprocess.run([*wait, "--timeout=60s"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert operator.stop() == 0
    assert "deep-0" in place.names("deployments")


def expect_invalid(namespace: str, name: str, message: str) -> None:
    """Waits for Stalled. Python's parser cannot read such a resource here, so kubectl does."""
    field = '{.status.conditions[?(@.type=="Stalled")].message}'
    wait = ["kubectl", "-n", namespace, "wait", f"mcol/{name}", f"--for=jsonpath={field}={message}", "--timeout=60s"]
    done = subprocess.run(wait, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_hostile_objects_do_not_end_the_operator(place: Any, kubelet: Any, start: Start) -> None:
    """They also come with the first listing after a restart. The neighbour's status goes on."""
    operator = start()
    create_deep(place.namespace, 1_200)
    expect_invalid(place.namespace, "deep", "spec.template.dnsConfig.x: is nested deeper than 60 levels. Remove it")
    place.create()
    pods = [pod for pod in kubelet.run_all(1) if pod.name.startswith("okx-btc")]
    for message in (
        "[" * 4_000,
        json.dumps({"contract": 1, "epoch": f"{pods[0].uid}/t0", "lastMessageTime": EARLIEST}),
    ):
        ended = {"terminated": {"exitCode": 1, "message": message, "finishedAt": "2026-11-22T10:00:00Z"}}
        kubelet.say(pods[0], {"running": {"startedAt": "2026-11-22T10:00:00Z"}}, True, last_state=ended)
        place.expect("Ready", "True", "Ready")
    assert operator.stop() == 0
    second = start()
    place.change(logLevel="debug")
    kubelet.run_all(2)
    place.expect("Ready", "True", "Ready")
    assert second.process.poll() is None
