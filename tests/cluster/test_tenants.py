"""Limits for tenants: by the operator, and at the API server by the chart's ValidatingAdmissionPolicy."""

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from tests.cluster.conftest import COLLECTORS, Refused, resource

from admission_policies import Policies
from tenant_cases import CASES, Case

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]


@pytest.fixture
def policies(api: Any) -> Iterator[Policies]:
    found = Policies(api)
    yield found
    found.remove()


def test_operator_leaves_a_resource_alone_that_asks_for_too_much(place: Any, kubelet: Any, start: Start) -> None:
    """Its pods run on. Another resource is served, and the first one again once it is corrected."""
    first = start()
    place.create(template={"image": "evil/collector:1"})
    place.create("honest")
    kubelet.run_all(2)
    place.expect("Ready", "True", "Ready")
    before = place.api.get("deployments", place.namespace, "okx-btc-0")["metadata"]["generation"]
    assert first.stop() == 0
    operator = start("--tenants-allow", json.dumps({"image": ["registry.example.com/"]}))
    message = place.expect("Stalled", "True", "NotAllowed")
    assert 'spec.template.image: "evil/collector:1" is not allowed here' in message
    assert "allows only registry.example.com/" in message
    assert place.condition("Ready")[:2] == ("False", "NotAllowed")
    place.change(dataTypes=["trade"])
    place.change("honest", dataTypes=["trade"])
    kubelet.run_all(3)
    place.expect("Ready", "True", "Ready", "honest")
    assert place.api.get("deployments", place.namespace, "okx-btc-0")["metadata"]["generation"] == before
    assert {pod["metadata"]["labels"]["marketcollector.dev/collector"] for pod in kubelet.living()} >= {"okx-btc"}
    place.change(template={"image": "registry.example.com/collector:1"})
    place.expect("WorkloadReady", "False", "Unschedulable")
    assert operator.metric("contained_errors_total") == 0


def distinct_limits() -> dict[str, list[Any]]:
    """The limits of the cases by field."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for case in CASES:
        if case.allowed not in found[case.field]:
            found[case.field].append(case.allowed)
    return found


LIMITS = distinct_limits()
RELEASES = range(max(map(len, LIMITS.values())))


def release_of(case: Case) -> int:
    """The release that has the limit of a case. No other of its limits concerns that case."""
    return LIMITS[case.field].index(case.allowed)


@pytest.fixture
def tenants(api: Any) -> Iterator[list[str]]:
    """A namespace for each release."""
    names = [f"op-{uuid.uuid4().hex[:8]}" for _ in RELEASES]
    for name in names:
        api.call("POST", "api/v1/namespaces", {"metadata": {"name": name}})
    yield names
    for name in names:
        api.call("DELETE", f"api/v1/namespaces/{name}")


def verdict(api: Any, namespace: str, fields: Document) -> str:
    """The API server's refusal of a resource; empty if it accepts it."""
    document = resource(**fields)
    del document["spec"]["template"]["nodeSelector"]
    if "connection" not in fields:
        del document["spec"]["connection"]
    try:
        api.call("POST", f"{COLLECTORS}/namespaces/{namespace}/marketcollectors?dryRun=All", document)
    except Refused as refusal:
        return str(refusal) if refusal.status == HTTPStatus.FORBIDDEN else f"{refusal.status}"
    return ""


def test_api_server_refuses_what_the_operator_refuses(
    api: Any, policies: Policies, tenants: list[str], eventually: Eventually
) -> None:
    for number, namespace in enumerate(tenants):
        limits = {field: limit[number] for field, limit in LIMITS.items() if number < len(limit)}
        values = (f"tenants={json.dumps({'allow': limits, 'admissionPolicy': True})}", f'namespaces=["{namespace}"]')
        policies.install("tenants", namespace, *values)

    def is_active(namespace: str) -> None:
        number = tenants.index(namespace)
        case = next(case for case in CASES if case.refused and release_of(case) == number)
        assert case.refused in verdict(api, namespace, case.spec)

    for namespace in tenants:
        eventually(lambda namespace=namespace: is_active(namespace))
    for case in CASES:
        found = verdict(api, tenants[release_of(case)], case.spec)
        assert bool(found) == bool(case.refused), (case, found)
        assert case.refused in found
        assert not found or f"tenants.allow.{case.field} allows" in found
    policies.expect_no_warnings(eventually)


def test_resource_older_than_a_limit_can_be_relabelled(place: Any, policies: Policies, eventually: Eventually) -> None:
    """Otherwise nobody could remove its finalizers, or pause it."""
    place.create(template={"image": "evil/collector:1"})
    values = ('tenants={"allow":{"image":false},"admissionPolicy":true}', f'namespaces=["{place.namespace}"]')
    policies.install("tenants", place.namespace, *values)

    def is_active() -> None:
        assert "spec.template.image: evil/collector:1 is not allowed here" in _refusal_of_change(place)

    eventually(is_active)
    place.api.merge("mcol", place.namespace, "okx-btc", {"metadata": {"labels": {"team": "a"}}})
    place.change(template={"image": None}, staleAfter="20s")


def _refusal_of_change(place: Any) -> str:
    try:
        place.change(staleAfter=f"{uuid.uuid4().int % 600 + 5}s")
    except Refused as refusal:
        return str(refusal)
    return ""
