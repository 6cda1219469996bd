"""Stale events and listings: no newer object is reverted or deleted."""

from typing import Any

import pytest

from api_calls import Event
from api_proxy import Answer
from market_operator.cluster.kinds import CHILDREN, COLLECTORS, PODS
from market_operator.resource.naming import OURS

pytestmark = pytest.mark.long


@pytest.fixture
def changed(ground: Any) -> Any:
    """A ground whose resource was changed: symbols, number of shards and a replaced Service."""
    ground.start("--sweep-interval", "1s")
    place = ground.place
    place.create(symbols=["ADA-USDT", "BTC-USDT"])
    ground.eventually(lambda: _is_ready(ground))
    ground.old_lists = {path: ground.proxy.ask(path) for path in _lists(ground.namespace)}
    place.change(symbols=["ADA-USDT", "ETH-USDT"], shards=2)
    ground.eventually(lambda: _is_ready(ground))
    place.api.delete("services", ground.namespace, "okx-btc-0")
    ground.eventually(lambda: place.api.get("services", ground.namespace, "okx-btc-0"))
    ground.eventually(lambda: _is_at_rest(ground))
    return ground


def _lists(namespace: str) -> list[str]:
    paths = [f"{kind.path(namespace)}?labelSelector={OURS}" for kind in (*CHILDREN.values(), PODS)]
    return [*paths, COLLECTORS.path(namespace)]


def _is_ready(ground: Any) -> None:
    document = ground.place.api.get("mcol", ground.namespace, "okx-btc")
    assert document["status"]["observedGeneration"] == document["metadata"]["generation"]
    assert ground.place.condition("Ready")[:2] == ("True", "Ready")
    assert "Reconciling" not in {each["type"] for each in document["status"]["conditions"]}


def _is_at_rest(ground: Any) -> None:
    """Asserts that two listings caused no write."""
    before, lists = len(ground.proxy.writes), _listings(ground)
    ground.eventually(lambda: _check(_listings(ground) >= lists + 2))
    assert len(ground.proxy.writes) == before


def _listings(ground: Any) -> int:
    found: int = ground.proxy.count(lambda call: call.is_list and call.kind == "marketcollectors")
    return found


def _check(claim: object) -> None:
    assert claim


def _identities(ground: Any) -> dict[str, tuple[str, int]]:
    """UID and generation of all managed objects and pods of the resource."""
    return {
        f"{kind.plural}/{each['metadata']['name']}": (each["metadata"]["uid"], each["metadata"].get("generation", 0))
        for kind in (*CHILDREN.values(), PODS)
        for each in ground.place.api.call("GET", f"{kind.path(ground.namespace)[1:]}?labelSelector={OURS}")["items"]
    }


def test_repeated_old_events_cause_no_write(changed: Any) -> None:
    """A reconnection to a lagging API server repeats each old event, including deletions."""
    before, writes = _identities(changed), len(changed.proxy.writes)
    past = list(changed.proxy.events)
    assert {event.type for event in past} >= {"ADDED", "MODIFIED", "DELETED"}
    for event in past:
        changed.proxy.tell(event)
    changed.eventually(lambda: _check(_listings(changed) >= 4))
    assert [str(call) for call in changed.proxy.writes[writes:]] == []
    assert _identities(changed) == before
    assert changed.place.status()["messages"] == 300, "each pod counts once"


def test_stale_listings_cause_no_write(changed: Any) -> None:
    before, writes = _identities(changed), len(changed.proxy.writes)
    _lists_are_old(changed)
    listings = _listings(changed)
    changed.eventually(lambda: _check(_listings(changed) >= listings + 3))
    assert [str(call) for call in changed.proxy.writes[writes:]] == []
    assert _identities(changed) == before
    changed.proxy.heal()
    changed.eventually(lambda: _is_at_rest(changed))
    assert changed.place.status()["messages"] == 300, "each pod counts once"


def test_operator_that_starts_with_stale_lists_reverts_nothing(changed: Any) -> None:
    """All first lists, also those that start its watches, are stale. The watches then deliver the later events."""
    before = _identities(changed)
    changed.kill()
    changed.kubelet.bury()
    _lists_are_old(changed)
    changed.start("--sweep-interval", "3s")
    changed.eventually(lambda: _check(_listings(changed) >= 4))
    changed.proxy.heal()
    changed.eventually(lambda: _is_ready(changed))
    changed.eventually(lambda: _is_at_rest(changed))
    assert _identities(changed) == before
    assert changed.place.status()["messages"] == 300, "each pod counts once"


def _lists_are_old(ground: Any) -> None:
    for path, body in ground.old_lists.items():
        kind = path.partition("?")[0].rpartition("/")[2]
        ground.proxy.on(lambda call, kind=kind: call.is_list and call.kind == kind, Answer(body))


def test_deleted_event_of_an_old_object_keeps_its_successor(changed: Any) -> None:
    [old] = [event for event in changed.proxy.events if event.kind == "services" and event.type == "DELETED"]
    before, writes = _identities(changed), len(changed.proxy.writes)
    assert old.document["metadata"]["uid"] != before["services/okx-btc-0"][0]
    changed.proxy.tell(Event("services", "DELETED", old.document))
    changed.eventually(lambda: _is_at_rest(changed))
    assert (_identities(changed), len(changed.proxy.writes)) == (before, writes)
