from typing import Any

import pytest

from market_operator.observed.registry import Registry
from market_operator.resource.naming import Key

KEY = Key("md", "okx-btc")


PAUSE = {"annotations": {"marketcollector.dev/paused": "true"}}


def resource(generation: int = 1, uid: str = "u", **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": "okx-btc", "namespace": "md", "uid": uid, "generation": generation, **meta}}


def test_registry_reports_a_resource_once_per_state() -> None:
    registry = Registry()
    assert registry.update(resource())
    assert not registry.update(resource())
    assert KEY in registry


@pytest.mark.parametrize("change", [{"generation": 2}, {"uid": "v"}, {"deletionTimestamp": "now"}, PAUSE])
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


def versioned(version: int) -> dict[str, Any]:
    meta = {"name": "okx-btc", "namespace": "md", "uid": "u", "generation": 1, "resourceVersion": str(version)}
    return {"metadata": meta}


def test_version_that_no_reconcile_left_behind_is_of_another_writer() -> None:
    registry = Registry()
    registry.update(versioned(5))
    assert not registry.is_overwritten(versioned(6), is_in_work=False), "no reconcile so far; one is queued"
    registry.left(KEY, "7")
    assert [registry.is_overwritten(versioned(version), is_in_work=False) for version in (6, 7, 8)] == [
        False,
        False,
        True,
    ]


def test_answer_to_the_operators_write_may_come_after_its_event() -> None:
    registry = Registry()
    registry.update(versioned(5))
    registry.left(KEY, "5")
    assert not registry.is_overwritten(versioned(6), is_in_work=True)
    registry.left(KEY, "6")
    assert not registry.was_overwritten(KEY)
    assert not registry.is_overwritten(versioned(7), is_in_work=True)
    assert registry.was_overwritten(KEY)
    assert not registry.was_overwritten(KEY), "each version counts once"
