from typing import Any

import pytest

from market_operator.observed.registry import Registry
from market_operator.resource.naming import Key

KEY = Key("md", "okx-btc")


def resource(generation: int = 1, uid: str = "u", **meta: str) -> dict[str, Any]:
    return {"metadata": {"name": "okx-btc", "namespace": "md", "uid": uid, "generation": generation, **meta}}


def test_registry_reports_a_resource_once_per_state() -> None:
    registry = Registry()
    assert registry.update(resource())
    assert not registry.update(resource())
    assert KEY in registry


@pytest.mark.parametrize("change", [{"generation": 2}, {"uid": "v"}, {"deletionTimestamp": "now"}])
def test_registry_reports_a_changed_resource(change: dict[str, Any]) -> None:
    registry = Registry()
    registry.update(resource())
    assert registry.update(resource(**change))


def test_registry_forgets_a_removed_resource() -> None:
    registry = Registry()
    assert not registry.remove(KEY)
    registry.update(resource())
    assert registry.remove(KEY)
    assert (KEY in registry, list(registry)) == (False, [])


def test_registry_lists_keys_by_namespace() -> None:
    registry = Registry()
    registry.update(resource())
    assert registry.keys("md") == registry.keys() == {KEY}
    assert registry.keys("other") == set()
