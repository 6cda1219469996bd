import json
import tracemalloc
from typing import Any

import pytest

from market_operator.observed.cache import Cache
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.event_lines import LARGE, readable, reduced
from owned import owned


def line(kind: str, change: str = "MODIFIED", size: int = LARGE, **meta: Any) -> bytes:
    metadata = {"name": "a", "namespace": "md", "uid": "u", "resourceVersion": "5", **meta}
    document = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"x": "y" * size}}
    return json.dumps({"type": change, "object": document}).encode()


@pytest.mark.parametrize("size", [100, LARGE])
@pytest.mark.parametrize("change", ["ADDED", "MODIFIED", "DELETED"])
@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment", "Pod"])
def test_objects_of_others_are_only_bookmarks(kind: str, change: str, size: int) -> None:
    event = json.loads(reduced(line(kind, change, size), Cache().is_new))
    assert event == {"type": "BOOKMARK", "object": {"kind": kind, "metadata": {"resourceVersion": "5"}}}


@pytest.mark.parametrize("size", [100, LARGE])
def test_managed_object_is_whole_until_it_is_known(size: int) -> None:
    """The cache knows it from the answer to the operator's own write, mostly before its event arrives."""
    cache, whole = Cache(), line("ConfigMap", size=size, **owned())
    assert reduced(whole, cache.is_new) == whole
    cache.put("ConfigMap", json.loads(whole)["object"])
    assert json.loads(reduced(whole, cache.is_new))["type"] == "BOOKMARK"


def test_managed_object_that_is_deleted_or_becomes_another_s_is_whole() -> None:
    cache = Cache()
    cache.put("ConfigMap", json.loads(line("ConfigMap", resourceVersion="4", **owned()))["object"])
    changed = line("ConfigMap", ownerReferences=owned()["ownerReferences"])
    deleted = line("ConfigMap", "DELETED", **owned())
    assert reduced(changed, cache.is_new) == changed
    assert reduced(deleted, cache.is_new) == deleted


def test_custom_resource_has_only_its_metadata() -> None:
    annotations = {"marketcollector.dev/paused": "true"}
    event = json.loads(reduced(line("MarketCollector", generation=3, annotations=annotations), Cache().is_new))
    meta = {"name": "a", "namespace": "md", "uid": "u", "resourceVersion": "5"}
    assert event["type"] == "MODIFIED"
    assert event["object"] == {
        "apiVersion": "v1",
        "kind": "MarketCollector",
        "metadata": {**meta, "generation": 3, "annotations": annotations},
    }


@pytest.mark.parametrize(
    "text",
    [
        line("MarketCollector", size=100),
        line("ConfigMap", **owned() | {"resourceVersion": "no number"}),
        b'{"type":"ERROR","object":{"code":410,"x":"' + b"y" * LARGE + b'"}}',
        b"{" * LARGE,
    ],
)
def test_small_resources_and_errors_stay_as_they_are(text: bytes) -> None:
    assert reduced(text, Cache().is_new) == text


def test_large_event_takes_little_memory() -> None:
    """Parsed by kopf, it takes twenty times its size."""
    fields: dict[str, Any] = {f"f:{number:06}": {} for number in range(60_000)}
    manager = {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:data": fields}}
    event = line("ConfigMap", managedFields=[manager])
    del fields, manager
    tracemalloc.start()
    reduced(event, Cache().is_new)
    peak = tracemalloc.get_traced_memory()[1]
    json.loads(event)
    parsed = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert parsed > 5_000_000


def contained(metrics: Metrics) -> float:
    found = next(iter(metrics.contained_errors.collect()))
    return sum(sample.value for sample in found.samples if sample.name.endswith("total"))


@pytest.mark.parametrize("levels", [400, 5_000, 9_994, 100_000])
def test_event_loses_values_that_are_nested_too_deeply(levels: int, caplog: pytest.LogCaptureFixture) -> None:
    """kopf's parser would end the operator. Python 3.12 to 3.14 have no setting for more levels."""
    metrics = Metrics()
    event = line("MarketCollector", managedFields=["X"]).replace(b'"X"', b'{"f:a":' * levels + b"{}" + b"}" * levels)
    kept = readable(event, Containment(metrics))
    assert kept is not None
    assert json.loads(kept)["object"]["metadata"]["name"] == "a"
    assert json.loads(reduced(kept, Cache().is_new))["object"]["metadata"]["uid"] == "u"
    assert contained(metrics) == 1
    assert "WatchEvent md/a: " in caplog.text


@pytest.mark.parametrize(
    "text",
    [b'{"type":"ADDED","object":{"metadata":{"name":"a"', b"[]", b"<html>", b"\xff", line("Pod")[:-9], b"[" * 9_999],
)
def test_event_that_cannot_be_parsed_is_dropped(text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Such as half a line of a connection that broke."""
    metrics = Metrics()
    assert readable(text, Containment(metrics)) is None
    assert contained(metrics) == 1
    assert "WatchEvent" in caplog.text


@pytest.mark.parametrize("size", [10, LARGE])
def test_event_that_can_be_parsed_is_the_same(size: int) -> None:
    metrics = Metrics()
    event = line("Pod", size=size)
    assert readable(event, Containment(metrics)) is event
    assert contained(metrics) == 0
