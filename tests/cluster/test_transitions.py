"""Transitions: from every spec to every other, and from a bad spec back to a good one."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from collector_specs import SPECS
from end_state import is_handover
from market_operator.cluster.kinds import CHILDREN

pytestmark = pytest.mark.long

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
NAMES = list(SPECS)
# Fields that differ between two otherwise equal objects.
_INDIVIDUAL = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences")
_REVISION = "deployment.kubernetes.io/revision"


def paths() -> list[list[str]]:
    """One path over all specs from each spec. Together they contain each transition exactly once.

    A path takes steps of +1, -2, +3, -4 and so on, modulo the number of specs (Williams' square for an even number).
    """
    count, places = len(NAMES), [0]
    for step in range(1, count):
        places.append((places[-1] + (step if step % 2 else -step)) % count)
    return [[NAMES[(place + first) % count] for place in places] for first in range(count)]


def test_paths_contain_each_transition_once() -> None:
    pairs = [pair for path in paths() for pair in pairwise(path)]
    assert sorted(pairs) == sorted((a, b) for a in NAMES for b in NAMES if a != b)


def managed_objects(place: Any, name: str) -> list[Document]:
    """All managed objects of a resource, without individual fields; its name and all hashes are masked."""
    return [_masked(name, managed) for found in _objects(place, name).values() for managed in found]


def current_objects(place: Any, name: str) -> list[Document]:
    """`managed_objects` without the ConfigMaps that only older pods of an unfinished rollout mount."""
    found = _objects(place, name)
    mounted = json.dumps(found["Deployment"])
    found["ConfigMap"] = [each for each in found["ConfigMap"] if each["metadata"]["name"] in mounted]
    return [_masked(name, managed) for each in found.values() for managed in each]


def _objects(place: Any, name: str) -> dict[str, list[Document]]:
    query = f"?labelSelector=marketcollector.dev/collector%3D{name}"
    urls = {kind.name: kind.path(place.namespace).lstrip("/") for kind in CHILDREN.values()}
    found = {kind: place.api.call("GET", path + query)["items"] for kind, path in urls.items()}
    shard = "marketcollector.dev/shard"
    return {
        kind: sorted(
            (managed for managed in each if not is_handover(managed)),
            key=lambda managed: managed["metadata"]["labels"].get(shard, ""),
        )
        for kind, each in found.items()
    }


def _masked(name: str, managed: Document) -> Document:
    meta = {key: value for key, value in managed["metadata"].items() if key not in _INDIVIDUAL}
    meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != _REVISION}
    kept = {key: value for key, value in managed.items() if key != "status"} | {"metadata": meta}
    text = re.sub(r"\b[0-9a-f]{10}\b", "HASH", json.dumps(kept).replace(name, "NAME"))
    masked: Document = json.loads(text)
    return masked


def test_every_transition_ends_like_a_new_resource(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    walkers = {f"walker-{number:02}": path for number, path in enumerate(paths())}
    fresh = {spec: f"fresh-{number:02}" for number, spec in enumerate(NAMES)}
    for spec, name in fresh.items():
        place.create(name, **SPECS[spec])
    for name, path in walkers.items():
        place.create(name, **SPECS[path[0]])
    eventually(lambda: all_observed(place))
    expected = {spec: current_objects(place, name) for spec, name in fresh.items()}
    for name in fresh.values():
        place.api.delete("mcol", place.namespace, name)
    for number in range(1, len(NAMES)):
        for name, path in walkers.items():
            place.replace(name, **SPECS[path[number]])
        eventually(lambda: all_observed(place))
        for name, path in walkers.items():
            assert current_objects(place, name) == expected[path[number]], f"from {path[number - 1]} to {path[number]}"

    def nothing_is_left_over() -> None:
        kubelet.catch_up()
        for name, path in walkers.items():
            assert managed_objects(place, name) == expected[path[-1]]

    eventually(nothing_is_left_over)


def all_observed(place: Any) -> None:
    for each in place.api.all("mcol", place.namespace):
        assert each["status"]["observedGeneration"] == each["metadata"]["generation"]
        assert "ApplyFailed" not in {condition["reason"] for condition in each["status"]["conditions"]}


GOOD: Document = {"symbol": "BTC-USDT", "dataTypes": ["trade"]}
BAD: dict[str, tuple[Document, tuple[str, str, str]]] = {
    "bad-image": ({"template": {"image": "nowhere/nothing:typo"}}, ("WorkloadReady", "False", "ImagePullFailed")),
    "bad-label": ({"template": {"labels": {"no label!": "x"}}}, ("WorkloadReady", "False", "ApplyFailed")),
    "bad-dns": ({"template": {"dnsConfig": {"nonsense": 1}}}, ("WorkloadReady", "False", "ApplyFailed")),
    "bad-account": ({"template": {"serviceAccountName": "nobody"}}, ("WorkloadReady", "False", "PodsRefused")),
    "bad-size": ({"template": {"resources": {"requests": {"cpu": "9k"}}}}, ("WorkloadReady", "False", "Unschedulable")),
    "bad-symbol": ({"symbol": "NO-SUCH"}, ("Accepted", "False", "SymbolNotFound")),
}


def test_resource_recovers_from_a_bad_spec_and_keeps_its_pod(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    for name in BAD:
        place.create(name, **GOOD)
    kubelet.run_all(len(BAD))
    for name in BAD:
        place.expect("Ready", "True", "Ready", name)
    before = {name: (managed_objects(place, name), pods(place, name)) for name in BAD}
    for name, (spec, _) in BAD.items():
        place.replace(name, **GOOD | spec)

    def all_bad() -> None:
        play_bad_pods(kubelet)
        for name, (_, expected) in BAD.items():
            assert (expected[0], *place.condition(expected[0], name)[:2]) == expected, place.condition(
                expected[0], name
            )

    eventually(all_bad)
    for name in BAD:
        place.replace(name, **GOOD)

    def all_good() -> None:
        for name, (objects, uids) in before.items():
            assert place.condition("Ready", name)[:2] == ("True", "Ready"), (name, place.condition("Ready", name))
            assert "Stalled" not in {each["type"] for each in place.status(name)["conditions"]}
            assert (managed_objects(place, name), pods(place, name)) == (objects, uids)

    eventually(all_good)


def pods(place: Any, name: str) -> set[str]:
    found = [each["metadata"] for each in place.api.all("pods", place.namespace)]
    return {meta["uid"] for meta in found if meta["labels"]["marketcollector.dev/collector"] == name}


def play_bad_pods(kubelet: Any) -> None:
    """Report like a kubelet for these specs: a missing image, and a symbol that the exchange does not list."""
    for document in kubelet.living():
        name, uid = document["metadata"]["labels"]["marketcollector.dev/collector"], document["metadata"]["uid"]
        if name in ("bad-image", "bad-symbol") and uid not in kubelet.pods:
            refused = {"stream": "NO-SUCH/trade", "state": "refused", "reason": "SymbolNotFound"}
            kubelet.run(document, ready=False, streams=[refused], health="Unhealthy")
        if name == "bad-image" and "typo" in document["spec"]["containers"][0]["image"]:
            # Repeated, because the scheduler keeps reporting that no node fits.
            waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere/nothing:typo"'}
            kubelet.say(kubelet.pods[uid], {"waiting": waiting}, ready=False)
