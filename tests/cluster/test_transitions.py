"""H. Transitions: from every spec to every other it ends as if made anew; from a bad one back it recovers by itself."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from collector_specs import SPECS
from market_operator.cluster.kinds import CHILDREN

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
NAMES = list(SPECS)
# What tells one object from another that is the same.
_INDIVIDUAL = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences")
_REVISION = "deployment.kubernetes.io/revision"


def ways() -> list[list[str]]:
    """Ways over all specs, one from each. Together they go from each spec to each other exactly once.

    A way takes steps of +1, -2, +3, -4 and so on, round and round (Williams' square for an even number of places).
    """
    count, places = len(NAMES), [0]
    for step in range(1, count):
        places.append((places[-1] + (step if step % 2 else -step)) % count)
    return [[NAMES[(place + first) % count] for place in places] for first in range(count)]


def test_h_the_ways_go_from_each_spec_to_each_other_once() -> None:
    pairs = [pair for way in ways() for pair in pairwise(way)]
    assert sorted(pairs) == sorted((a, b) for a in NAMES for b in NAMES if a != b)


def children(place: Any, name: str) -> list[Document]:
    """All that a resource has, without what is each object's own; its name and all hashes are masked."""
    return [_masked(name, child) for found in _objects(place, name).values() for child in found]


def built(place: Any, name: str) -> list[Document]:
    """`children` without the configurations that only older pods of an unfinished roll-out mount."""
    found = _objects(place, name)
    mounted = json.dumps(found["Deployment"])
    found["ConfigMap"] = [each for each in found["ConfigMap"] if each["metadata"]["name"] in mounted]
    return [_masked(name, child) for each in found.values() for child in each]


def _objects(place: Any, name: str) -> dict[str, list[Document]]:
    query = f"?labelSelector=marketcollector.dev/collector%3D{name}"
    paths = {kind.name: kind.path(place.namespace).lstrip("/") for kind in CHILDREN.values()}
    found = {kind: place.api.call("GET", path + query)["items"] for kind, path in paths.items()}
    shard = "marketcollector.dev/shard"
    return {
        kind: sorted(each, key=lambda child: child["metadata"]["labels"].get(shard, "")) for kind, each in found.items()
    }


def _masked(name: str, child: Document) -> Document:
    meta = {key: value for key, value in child["metadata"].items() if key not in _INDIVIDUAL}
    meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != _REVISION}
    kept = {key: value for key, value in child.items() if key != "status"} | {"metadata": meta}
    text = re.sub(r"\b[0-9a-f]{10}\b", "HASH", json.dumps(kept).replace(name, "NAME"))
    masked: Document = json.loads(text)
    return masked


def test_h_from_each_spec_to_each_other_it_ends_as_if_made_anew(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    walkers = {f"walker-{number:02}": way for number, way in enumerate(ways())}
    fresh = {spec: f"fresh-{number:02}" for number, spec in enumerate(NAMES)}
    for spec, name in fresh.items():
        place.create(name, **SPECS[spec])
    for name, way in walkers.items():
        place.create(name, **SPECS[way[0]])
    eventually(lambda: all_told(place), 60)
    anew = {spec: built(place, name) for spec, name in fresh.items()}
    for name in fresh.values():
        place.api.delete("mcol", place.namespace, name)
    for number in range(1, len(NAMES)):
        for name, way in walkers.items():
            place.replace(name, **SPECS[way[number]])
        eventually(lambda: all_told(place), 60)
        for name, way in walkers.items():
            assert built(place, name) == anew[way[number]], f"from {way[number - 1]} to {way[number]}"

    def nothing_is_left_over() -> None:
        kubelet.catch_up()
        for name, way in walkers.items():
            assert children(place, name) == anew[way[-1]]

    eventually(nothing_is_left_over, 90)


def all_told(place: Any) -> None:
    for each in place.api.all("mcol", place.namespace):
        assert each["status"]["observedGeneration"] == each["metadata"]["generation"]
        assert "ApplyFailed" not in {condition["reason"] for condition in each["status"]["conditions"]}


GOOD: Document = {"symbol": "BTC-USDT", "dataTypes": ["trade"]}
BAD: dict[str, tuple[Document, tuple[str, str, str]]] = {
    "bad-image": ({"template": {"image": "nowhere/nothing:typo"}}, ("WorkloadReady", "False", "ImagePullFailed")),
    "bad-label": ({"template": {"labels": {"no label!": "x"}}}, ("WorkloadReady", "False", "ApplyFailed")),
    "bad-affinity": ({"template": {"affinity": {"nonsense": 1}}}, ("WorkloadReady", "False", "ApplyFailed")),
    "bad-account": ({"template": {"serviceAccountName": "nobody"}}, ("WorkloadReady", "False", "PodsRefused")),
    "bad-size": ({"template": {"resources": {"requests": {"cpu": "9k"}}}}, ("WorkloadReady", "False", "Unschedulable")),
    "bad-symbol": ({"symbol": "NO-SUCH"}, ("Accepted", "False", "SymbolNotFound")),
}


def test_h_from_a_bad_spec_back_it_recovers_by_itself_and_keeps_its_pod(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    for name in BAD:
        place.create(name, **GOOD)
    kubelet.run_all(len(BAD))
    for name in BAD:
        place.expect("Ready", "True", "Ready", name)
    before = {name: (children(place, name), pods(place, name)) for name in BAD}
    for name, (spec, _) in BAD.items():
        place.replace(name, **GOOD | spec)

    def all_bad() -> None:
        play_bad_pods(kubelet)
        for name, (_, expected) in BAD.items():
            assert (expected[0], *place.condition(expected[0], name)[:2]) == expected, place.condition(
                expected[0], name
            )

    eventually(all_bad, 60)
    for name in BAD:
        place.replace(name, **GOOD)

    def all_good() -> None:
        for name, (objects, uids) in before.items():
            assert place.condition("Ready", name)[:2] == ("True", "Ready"), (name, place.condition("Ready", name))
            assert "Stalled" not in {each["type"] for each in place.status(name)["conditions"]}
            assert (children(place, name), pods(place, name)) == (objects, uids)

    eventually(all_good, 60)


def pods(place: Any, name: str) -> set[str]:
    found = [each["metadata"] for each in place.api.all("pods", place.namespace)]
    return {meta["uid"] for meta in found if meta["labels"]["marketcollector.dev/collector"] == name}


def play_bad_pods(kubelet: Any) -> None:
    """What a kubelet would make of pods with these specs: an image that is not there, a symbol that no exchange has."""
    for document in kubelet.living():
        name, uid = document["metadata"]["labels"]["marketcollector.dev/collector"], document["metadata"]["uid"]
        if name in ("bad-image", "bad-symbol") and uid not in kubelet.pods:
            refused = {"stream": "NO-SUCH/trade", "state": "refused", "reason": "SymbolNotFound"}
            kubelet.run(document, ready=False, streams=[refused], health="Unhealthy")
        if name == "bad-image" and "typo" in document["spec"]["containers"][0]["image"]:
            # Said again and again, for the scheduler goes on saying that no node is there.
            waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere/nothing:typo"'}
            kubelet.say(kubelet.pods[uid], {"waiting": waiting}, ready=False)
