import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from market_operator.cluster.actions import Apply, Delete
from market_operator.manifests.build import build_desired_state
from market_operator.manifests.desired_state import DesiredState
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.observed.cache import Observed, name_of
from market_operator.observed.pods import Pod
from market_operator.reconcile.plan import covers, is_all_rolled_out, is_rolled_out, plan
from market_operator.resource.document import Document, Resource

EXISTS = {"key": "version", "operator": "Exists"}


def stored(desired: DesiredState) -> Observed:
    """The state of the API server after all writes, including the fields that it adds."""
    children = {}
    for child in desired.children:
        made = copy.deepcopy(child)
        made["metadata"] |= {"uid": f"uid-{child['metadata']['name']}", "generation": 1, "creationTimestamp": "now"}
        if child["kind"] == "Deployment":
            made["status"] = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}
            made["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
        children[name_of(child)] = made
    return Observed(children, ())


@pytest.fixture
def desired(resource: Callable[..., Resource]) -> DesiredState:
    return build_desired_state(resource(), "image")


def edited(observed: Observed, kind: str, edit: Callable[[Document], object]) -> Observed:
    for (each, _), child in observed.children.items():
        if each == kind:
            edit(child)
    return observed


def test_everything_is_applied_when_nothing_exists(desired: DesiredState) -> None:
    actions = plan(Observed({}, ()), desired)
    assert [action.manifest["kind"] for action in actions if isinstance(action, Apply)] == [
        "ConfigMap",
        "Service",
        "Deployment",
    ]
    assert all(isinstance(action, Apply) and action.is_new for action in actions)


def test_nothing_is_written_when_the_observed_state_is_the_desired_one(desired: DesiredState) -> None:
    assert plan(stored(desired), desired) == ()


def test_object_of_an_earlier_resource_is_left_to_the_garbage_collector(desired: DesiredState) -> None:
    """Neither applied, which would take it over, nor deleted."""
    deployment = ("Deployment", "okx-btc-0")
    actions = plan(Observed({}, (), earlier=frozenset({deployment, ("Service", "old")})), desired)
    assert [action.manifest["kind"] for action in actions if isinstance(action, Apply)] == ["ConfigMap", "Service"]
    assert len(actions) == 2


def test_settled_object_is_not_compared_again(desired: DesiredState) -> None:
    observed = stored(desired)
    for child in observed.children.values():
        child.pop("spec", None)
    assert len(plan(observed, desired)) == 2
    assert plan(replace(observed, settled=frozenset(observed.children)), desired) == ()


def test_changed_desired_state_is_detected_by_its_hash(
    resource: Callable[..., Resource], desired: DesiredState
) -> None:
    later = build_desired_state(resource(suspend=True), "image")
    [action] = plan(stored(desired), later)
    assert isinstance(action, Apply)
    assert (action.manifest["kind"], action.is_new) == ("Deployment", False)


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        ("Deployment", lambda child: child["spec"].update(replicas=7)),
        ("Deployment", lambda child: child["spec"].update(paused=True)),
        ("Deployment", lambda child: child["spec"]["template"]["spec"]["containers"][0].update(image="evil")),
        ("Deployment", lambda child: child["spec"]["template"]["spec"]["containers"][0]["env"].pop()),
        ("Deployment", lambda child: child["metadata"]["labels"].pop("marketcollector.dev/shard")),
        ("Deployment", lambda child: child["metadata"]["ownerReferences"].clear()),
        ("Service", lambda child: child["spec"].update(selector={"app": "evil"})),
        ("Service", lambda child: child["spec"]["ports"][0].update(port=1)),
        ("ConfigMap", lambda child: child["data"].clear()),
        ("Service", lambda child: child["spec"]["selector"].update(version="2")),
        ("PodDisruptionBudget", lambda child: child["spec"]["selector"]["matchLabels"].update(version="2")),
        ("NetworkPolicy", lambda child: child["spec"]["podSelector"]["matchLabels"].update(version="2")),
        ("NetworkPolicy", lambda child: child["spec"]["podSelector"].update(matchExpressions=[EXISTS])),
        ("NetworkPolicy", lambda child: child["spec"]["ingress"][0]["ports"][0].update(endPort=9000)),
        ("NetworkPolicy", lambda child: child["spec"]["egress"][0].update(to=[{"podSelector": {}}])),
        ("NetworkPolicy", lambda child: child["spec"]["egress"][-1]["to"][0].update(namespaceSelector={})),
    ],
)
def test_edit_of_an_owned_field_is_reverted(
    resource: Callable[..., Resource], kind: str, edit: Callable[[Document], object]
) -> None:
    reader, lookup = {"podSelector": {"matchLabels": {"app": "prometheus"}}}, {"ports": [{"port": 5353}]}
    rules = NetworkRules((reader,), ({**lookup, "to": [reader]},))
    desired = build_desired_state(resource(replicas=2), "image", rules)
    observed = stored(desired)
    for policy in (child for (kind, _), child in observed.children.items() if kind == "NetworkPolicy"):
        policy["spec"]["egress"][-1]["ports"][0]["protocol"] = "TCP"  # as the API server fills it in
    assert plan(observed, desired) == ()
    [action] = plan(edited(observed, kind, edit), desired)
    assert isinstance(action, Apply)
    assert action.manifest["kind"] == kind


@pytest.mark.parametrize(
    "edit",
    [
        lambda child: child["metadata"]["labels"].update(team="a"),
        lambda child: child["metadata"]["annotations"].update({"deployment.kubernetes.io/revision": "3"}),
        lambda child: child["spec"]["template"]["spec"]["containers"][0]["env"].append(
            {"name": "THEIRS", "value": "x"}
        ),
        lambda child: child["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"}),
        lambda child: child["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"].update(cpu="0.02"),
    ],
)
def test_fields_and_notations_of_others_stay(desired: DesiredState, edit: Callable[[Document], object]) -> None:
    assert plan(edited(stored(desired), "Deployment", edit), desired) == ()


def test_surplus_shards_are_deleted(resource: Callable[..., Resource]) -> None:
    symbols = ["A-B", "C-D", "E-F"]
    three, one = (build_desired_state(resource(symbols=symbols, shards=shards), "image") for shards in (3, 1))
    deletes = [action for action in plan(stored(three), one) if isinstance(action, Delete)]
    assert {(each.kind, each.name) for each in deletes if each.kind != "ConfigMap"} == {
        (kind, f"okx-btc-{shard}") for kind in ("Deployment", "Service") for shard in (1, 2)
    }


def old_config(desired: DesiredState, resource: Callable[..., Resource]) -> tuple[Observed, DesiredState, str]:
    """After a change was applied: both ConfigMaps exist, the old one no longer desired."""
    later = build_desired_state(resource(logLevel="debug"), "image")
    before, after = stored(desired).children, stored(later).children
    name = next(name for kind, name in before if kind == "ConfigMap")
    return Observed({**before, **after}, ()), later, name


def test_old_configmap_is_deleted_after_the_rollout(desired: DesiredState, resource: Callable[..., Resource]) -> None:
    observed, later, name = old_config(desired, resource)
    assert plan(observed, later) == (Delete("ConfigMap", name, "md", f"uid-{name}"),)


def test_old_configmap_stays_while_a_pod_mounts_it(
    desired: DesiredState, resource: Callable[..., Resource], pod_document: Callable[..., Any]
) -> None:
    observed, later, name = old_config(desired, resource)
    document = pod_document()
    document["spec"]["volumes"][0]["configMap"]["name"] = name
    from market_operator.observed.pods import read_pod

    assert plan(Observed(observed.children, (read_pod(document),)), later) == ()


def test_old_configmap_stays_during_the_rollout(desired: DesiredState, resource: Callable[..., Resource]) -> None:
    observed, later, _ = old_config(desired, resource)
    edited(observed, "Deployment", lambda child: child["status"].update(updatedReplicas=0))
    assert plan(observed, later) == ()


def test_terminating_object_is_not_deleted_again(desired: DesiredState, resource: Callable[..., Resource]) -> None:
    observed, later, name = old_config(desired, resource)
    observed.children["ConfigMap", name]["metadata"]["deletionTimestamp"] = "now"
    assert plan(observed, later) == ()


@pytest.mark.parametrize(
    ("observed", "desired", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ([{"name": "x", "v": 1}, {"name": "y"}], [{"name": "x", "v": 1}], True),
        ([{"name": "y"}], [{"name": "x"}], False),
        (["a", "b"], ["a"], False),
        (["a"], ["a"], True),
        ([{"key": "a", "extra": 1}], [{"key": "a"}], True),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": 1}}, True),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, {"limits": {"cpu": 1}}, False),
        ({"name": "A"}, {"name": "A", "value": ""}, True),
        ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}, True),
        ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1Mi"}}, False),
        ({"emptyDir": {}}, {"emptyDir": {"sizeLimit": "1Mi"}}, False),
        ({}, {"tolerations": []}, True),
        ({}, {"nodeSelector": {}, "labelSelector": {}}, False),
        ({"labelSelector": {}}, {"nodeSelector": {}, "labelSelector": {"matchLabels": {}}}, True),
        ({"matchLabels": {"a": "b"}}, {"matchLabels": {}}, True),
        ({"hostPath": {"path": "/"}}, {"emptyDir": {}}, False),
        ({}, {"readOnly": False}, True),
        ({"readOnly": True}, {"readOnly": False}, False),
        ({}, {"readOnly": True}, False),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": []}, False),
        ({}, {"emptyDir": {}}, False),
        ({}, {"automountServiceAccountToken": False}, False),
        (None, {"a": 1}, False),
    ],
)
def test_desired_fields_are_compared_with_the_observed_ones(observed: object, desired: object, expected: bool) -> None:
    assert covers(observed, desired) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}, True),
        ({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}, False),
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1}, False),
        ({}, False),
    ],
)
def test_rollout_is_complete_when_only_new_pods_are_left(status: Document, expected: bool) -> None:
    assert is_rolled_out({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}) is expected


def test_rollouts_are_complete_when_each_deployment_is_as_desired(
    desired: DesiredState, resource: Callable[..., Resource]
) -> None:
    """A change of the spec that is not applied yet leaves the Deployments rolled out by their own status."""
    assert is_all_rolled_out(stored(desired), desired)
    assert not is_all_rolled_out(Observed({}, ()), desired)
    changed = build_desired_state(resource(symbols=["ETH-USDT"]), "image")
    assert not is_all_rolled_out(stored(desired), changed)
    assert not is_all_rolled_out(
        stored(build_desired_state(resource(symbols=["A-B", "C-D"], shards=2), "image")), desired
    )
    rolling = edited(stored(desired), "Deployment", lambda child: child["status"].update(replicas=2))
    assert not is_all_rolled_out(rolling, desired)


def test_pods_cause_no_write(desired: DesiredState, pod: Callable[..., Pod]) -> None:
    assert plan(Observed(stored(desired).children, (pod(),)), desired) == ()
