"""The chart's ValidatingAdmissionPolicy for the operator's own account, which somebody may have stolen."""

import contextlib
import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.conftest import PATHS, Api, Refused, resource

from admission_policies import expect_no_warnings
from chart_account import Account, chart_account
from kube import Proxy
from market_operator.manifests.build import build_desired_state
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.resource.document import read_resource
from market_operator.resource.naming import labels

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
Change = Callable[[Document], object]


@pytest.fixture
def home(api: Any, namespace: str) -> Iterator[str]:
    """The namespace of the operator's release."""
    name = f"{namespace}-home"
    api.call("POST", "api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    api.call("DELETE", f"api/v1/namespaces/{name}")


@contextlib.contextmanager
def token_of(account: Account) -> Iterator[Api]:
    """The API server for somebody with the account's token."""
    proxy = Proxy("kubectl", os.environ | account.environment)
    try:
        yield Api(proxy.address)
    finally:
        proxy.end()


@pytest.fixture
def stolen(home: str, tmp_path: Path) -> Iterator[Api]:
    """The API server with the token of a release that serves all namespaces. No operator runs."""
    account = chart_account(home, tmp_path)
    with token_of(account) as api:
        yield api
    account.remove()


@pytest.fixture
def account(home: str, namespace: str, tmp_path: Path) -> Iterator[Account]:
    """The account of a release that serves one namespace."""
    account = chart_account(home, tmp_path, f'namespaces=["{namespace}"]')
    yield account
    account.remove()


def refusal(api: Api, method: str, kind: str, document: Document, content_type: str = "application/json") -> str:
    """The API server's refusal of a write that stores nothing; empty if it accepts it."""
    meta = document["metadata"]
    path = PATHS[kind].format(meta["namespace"]) + ("" if method == "POST" else f"/{meta['name']}")
    body = {"dryRun": ["All"]} if method == "DELETE" else document
    query = "" if method == "DELETE" else "?dryRun=All&fieldManager=thief"
    try:
        api.call(method, path + query, body, content_type)
    except Refused as refused:
        return str(refused)
    return ""


def created(api: Api, document: Document) -> str:
    """The refusal of a new object."""
    return refusal(api, "POST", PLURALS[document["kind"]], document)


def expect_active(api: Api, namespace: str) -> None:
    """Assert that the policy is active, since the API server needs about a second for a new one."""
    bare = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bare", "namespace": namespace}}
    assert "denied request: the operator's account may write only objects" in created(api, bare)


def desired(namespace: str) -> dict[str, Document]:
    """The objects that the operator makes for a resource, by kind."""
    meta = {"name": "okx-btc", "namespace": namespace, "uid": "u", "resourceVersion": "1"}
    found = read_resource({"metadata": meta, "spec": resource(replicas=2)["spec"]})
    children = build_desired_state(found, "image:1", NetworkRules()).children
    return {each["kind"]: each for each in children}


def pod(document: Document) -> Document:
    found: Document = document["spec"]["template"]["spec"]
    return found


def container(document: Document) -> Document:
    found: Document = pod(document)["containers"][0]
    return found


def mounted(source: Document) -> Change:
    return lambda each: pod(each)["volumes"].append({"name": "x", **source})


PLURALS = {kind: f"{kind.lower()}s" for kind in ("ConfigMap", "Service", "Deployment", "PodDisruptionBudget")}
PLURALS["NetworkPolicy"] = "networkpolicies"
TOKEN = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
OWNER = {"apiVersion": "marketcollector.dev/v1alpha1", "kind": "MarketCollector", "name": "a", "uid": "u"}
OURS = {**OWNER, "controller": True}
OTHER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "u", "controller": True}
FOREIGN: dict[str, tuple[str, Change, str]] = {
    "no labels": ("Deployment", lambda each: each["metadata"].pop("labels"), "only objects with its labels"),
    "no owner": ("ConfigMap", lambda each: each["metadata"].pop("ownerReferences"), "that a MarketCollector controls"),
    "no controller": (
        "Service",
        lambda each: each["metadata"].update(ownerReferences=[OWNER]),
        "that a MarketCollector controls",
    ),
    "another controller": (
        "PodDisruptionBudget",
        lambda each: each["metadata"].update(ownerReferences=[OTHER]),
        "that a MarketCollector controls",
    ),
    "kube-system": ("ConfigMap", lambda each: each["metadata"].update(namespace="kube-system"), "in kube-system"),
    "token": ("Deployment", lambda each: pod(each).update(automountServiceAccountToken=True), "with a token"),
    "token by default": ("Deployment", lambda each: pod(each).pop("automountServiceAccountToken"), "with a token"),
    "mounted token": ("Deployment", mounted(TOKEN), "may mount only"),
    "network": ("Deployment", lambda each: pod(each).update(hostNetwork=True), "in a namespace of the host"),
    "processes": ("Deployment", lambda each: pod(each).update(hostPID=True), "in a namespace of the host"),
    "root": ("Deployment", lambda each: pod(each).pop("securityContext"), "as root"),
    "disk": ("Deployment", mounted({"hostPath": {"path": "/"}}), "may mount only"),
    "escalation": ("Deployment", lambda each: container(each).pop("securityContext"), "with privileges"),
    "privileges": (
        "Deployment",
        lambda each: container(each).update(securityContext={"privileged": True}),
        "with privileges",
    ),
    "capability": (
        "Deployment",
        lambda each: container(each)["securityContext"].update(capabilities={"add": ["SYS_ADMIN"]}),
        "with privileges",
    ),
    "init container": (
        "Deployment",
        lambda each: pod(each).update(initContainers=[{"name": "x", "image": "x"}]),
        "with privileges",
    ),
    "port": ("Deployment", lambda each: container(each)["ports"][0].update(hostPort=8080), "a port of the host"),
    "address": ("Service", lambda each: each["spec"].update(clusterIP=None, externalIPs=["10.9.9.9"]), "no Service"),
    "node port": ("Service", lambda each: each["spec"].update(clusterIP=None, type="NodePort"), "no Service"),
    "all pods": ("NetworkPolicy", lambda each: each["spec"].update(podSelector={}), "only for collectors"),
}


def test_account_can_write_nothing_but_collectors(
    api: Any, stolen: Api, home: str, namespace: str, eventually: Eventually
) -> None:
    eventually(lambda: expect_active(stolen, namespace))
    for document in desired(namespace).values():
        assert created(stolen, document) == ""
    for name, (kind, change, expected) in FOREIGN.items():
        document = copy.deepcopy(desired(namespace)[kind])
        change(document)
        found = created(stolen, document)
        assert "ValidatingAdmissionPolicy" in found, (name, found)
        assert expected in found, (name, found)
    eventually(lambda: expect_no_warnings(api, f"{home}-market-operator-account"))


def test_account_cannot_take_or_delete_objects_of_others(
    api: Any, stolen: Api, namespace: str, eventually: Eventually
) -> None:
    """Copied labels make no difference, unless the copy has no controller."""
    eventually(lambda: expect_active(stolen, namespace))
    api.create("configmaps", namespace, {"metadata": {"name": "theirs"}, "data": {"a": "b"}})
    uid = api.get("configmaps", namespace, "theirs")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": uid, "controller": True}
    copied = {"name": "copied", "labels": labels("okx-btc"), "ownerReferences": [owner]}
    api.create("configmaps", namespace, {"metadata": copied})
    for name in ("theirs", "copied"):
        meta = {"name": name, "namespace": namespace, "labels": labels("okx-btc"), "ownerReferences": [OURS]}
        merged = refusal(stolen, "PATCH", "configmaps", {"metadata": meta}, "application/merge-patch+json")
        deleted = refusal(stolen, "DELETE", "configmaps", {"metadata": meta})
        for found in (merged, deleted):
            assert "may change or delete no object of others" in found, name


def test_operator_heals_and_takes_over_under_its_policy(
    place: Any, kubelet: Any, start: Start, account: Account, eventually: Eventually
) -> None:
    """Lost labels, orphans of a deleted resource, and a name that is taken: as without the policy."""
    theirs = {"metadata": {"name": "taken-0"}, "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}}
    place.api.create("services", place.namespace, theirs)
    operator = start(*account.arguments, environment=account.environment, everywhere=True)
    with token_of(account) as stolen:
        eventually(lambda: expect_active(stolen, place.namespace))
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    lost = {"metadata": {"labels": dict.fromkeys(labels("okx-btc", 0))}}
    place.api.merge("services", place.namespace, "okx-btc-0", lost)

    def is_labelled() -> None:
        found = place.api.get("services", place.namespace, "okx-btc-0")["metadata"].get("labels", {})
        assert labels("okx-btc", 0).items() <= found.items()

    eventually(is_labelled)
    place.api.delete("mcol", place.namespace, "okx-btc", "Orphan")

    def is_orphan() -> None:
        assert place.names("mcol") == set()
        assert "ownerReferences" not in place.api.get("deployments", place.namespace, "okx-btc-0")["metadata"]

    eventually(is_orphan)
    uid = place.create()["metadata"]["uid"]

    def is_taken_over() -> None:
        [owner] = place.api.get("deployments", place.namespace, "okx-btc-0")["metadata"]["ownerReferences"]
        assert owner["uid"] == uid

    eventually(is_taken_over)
    place.expect("Ready", "True", "Ready")
    place.create("taken")
    message = place.expect("WorkloadReady", "False", "ApplyFailed", "taken")
    assert "Service taken-0: 409 NameTaken" in message
    place.api.delete("mcol", place.namespace, "taken")
    assert operator.stop() == 0
    assert "ValidatingAdmissionPolicy" not in operator.log.read_text()
