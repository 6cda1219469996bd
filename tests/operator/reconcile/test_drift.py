"""The words about changes of other writers."""

from collections.abc import Callable
from typing import Any

import pytest

from market_operator.cluster.actions import Apply
from market_operator.manifests.build import build_desired_state
from market_operator.observed.cache import Cache
from market_operator.reconcile.drift import changed_field, describe, is_changed_by_others
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import Key
from owned import APPLIED

EARLY, LATE = "2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"


@pytest.fixture
def deployment(resource: Callable[..., Resource]) -> Document:
    return build_desired_state(resource(), "image").children[-1]


@pytest.mark.parametrize(
    ("writers", "writer"),
    [
        ([{"manager": "kubectl-rollout", "operation": "Update", "time": LATE}], "kubectl-rollout"),
        ([{"manager": "kube-controller-manager", "subresource": "scale", "time": LATE}], "kube-controller-manager"),
        ([{"manager": "kube-controller-manager", "subresource": "status", "time": LATE}], "another market-operator"),
        ([], "another market-operator"),
    ],
)
def test_change_names_field_and_writer(deployment: Document, writers: list[Any], writer: str) -> None:
    meta = deployment["metadata"]
    fields = [{**APPLIED, "time": EARLY}, *writers]
    changed = {**deployment, "metadata": {**meta, "uid": "u", "resourceVersion": "1", "managedFields": fields}}
    changed["spec"] = {**deployment["spec"], "paused": True}
    cache = Cache()
    cache.put("Deployment", changed)
    observed = cache.observe(Key("md", "okx-btc"))
    action = Apply(deployment, is_new=False)
    assert is_changed_by_others(action, observed)
    assert describe(action, observed) == f"Deployment okx-btc-0: {writer} changed spec.paused"


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ({"a": {"b": 1, "c": [1]}}, ""),
        ({"a": {"b": 2, "c": [1]}}, ".a.b"),
        ({"a": {"b": 1, "c": [2]}}, ".a.c"),
        ({"a": 5}, ".a"),
        ({}, ".a"),
    ],
)
def test_path_of_the_first_changed_field(observed: Document, expected: str) -> None:
    assert changed_field(observed, {"a": {"b": 1, "c": [1]}}) == expected
