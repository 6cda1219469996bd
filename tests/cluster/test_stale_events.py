"""D. News that are older than what is known: no newer child is rolled back, no newer pod or child is deleted."""

from typing import Any

import pytest

from api_calls import Event
from api_proxy import Answer
from market_operator.cluster.kinds import CHILDREN, COLLECTORS, PODS
from market_operator.resource.naming import OURS


@pytest.fixture
def changed(ground: Any) -> Any:
    """A ground whose resource has had another configuration, more shards and another Service; all that is over."""
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
    """Two sweeps went by without a write."""
    before, lists = len(ground.proxy.writes), _sweeps(ground)
    ground.eventually(lambda: _check(_sweeps(ground) >= lists + 2))
    assert len(ground.proxy.writes) == before


def _sweeps(ground: Any) -> int:
    found: int = ground.proxy.count(lambda call: call.is_list and call.kind == "marketcollectors")
    return found


def _check(claim: object) -> None:
    assert claim


def _identities(ground: Any) -> dict[str, tuple[str, int]]:
    """UID and generation of all that belongs to the resource, its pods too."""
    return {
        f"{kind.plural}/{each['metadata']['name']}": (each["metadata"]["uid"], each["metadata"].get("generation", 0))
        for kind in (*CHILDREN.values(), PODS)
        for each in ground.place.api.call("GET", f"{kind.path(ground.namespace)[1:]}?labelSelector={OURS}")["items"]
    }


def test_watches_that_tell_the_past_again_cause_no_write(changed: Any) -> None:
    """As after a reconnection to an API server that lags: each old event comes once more, ends of old objects too."""
    before, writes = _identities(changed), len(changed.proxy.writes)
    past = list(changed.proxy.events)
    assert {event.type for event in past} >= {"ADDED", "MODIFIED", "DELETED"}
    for event in past:
        changed.proxy.tell(event)
    changed.eventually(lambda: _check(_sweeps(changed) >= 4))
    assert [str(call) for call in changed.proxy.writes[writes:]] == []
    assert _identities(changed) == before
    assert changed.place.status()["messages"] == 300, "each pod counts once"


def test_sweeps_that_list_the_past_cause_no_write(changed: Any) -> None:
    before, writes = _identities(changed), len(changed.proxy.writes)
    _lists_are_old(changed)
    sweeps = _sweeps(changed)
    changed.eventually(lambda: _check(_sweeps(changed) >= sweeps + 3))
    assert [str(call) for call in changed.proxy.writes[writes:]] == []
    assert _identities(changed) == before
    changed.proxy.heal()
    changed.eventually(lambda: _is_at_rest(changed))
    assert changed.place.status()["messages"] == 300, "each pod counts once"


def test_an_operator_that_begins_in_the_past_rolls_nothing_back(changed: Any) -> None:
    """All its first lists, and those that begin its watches, are old; then the watches bring what came after."""
    before = _identities(changed)
    changed.kill()
    changed.kubelet.bury()
    _lists_are_old(changed)
    changed.start("--sweep-interval", "3s")
    changed.eventually(lambda: _check(_sweeps(changed) >= 4))
    changed.proxy.heal()
    changed.eventually(lambda: _is_ready(changed))
    changed.eventually(lambda: _is_at_rest(changed))
    assert _identities(changed) == before
    assert changed.place.status()["messages"] == 300, "each pod counts once"


def _lists_are_old(ground: Any) -> None:
    for path, body in ground.old_lists.items():
        kind = path.partition("?")[0].rpartition("/")[2]
        ground.proxy.on(lambda call, kind=kind: call.is_list and call.kind == kind, Answer(body))


def test_the_end_of_an_old_object_is_not_that_of_its_successor(changed: Any) -> None:
    [old] = [event for event in changed.proxy.events if event.kind == "services" and event.type == "DELETED"]
    before, writes = _identities(changed), len(changed.proxy.writes)
    assert old.document["metadata"]["uid"] != before["services/okx-btc-0"][0]
    changed.proxy.tell(Event("services", "DELETED", old.document))
    changed.eventually(lambda: _is_at_rest(changed))
    assert (_identities(changed), len(changed.proxy.writes)) == (before, writes)
