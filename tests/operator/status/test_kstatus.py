"""P: what tools that follow kstatus make of the statuses that our code writes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kstatus import kstatus
from market_operator.errors import ApiError
from market_operator.manifests.build import build_desired_state
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.counters import CounterState
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.document import Document, Resource
from market_operator.resource.status import PENDING
from market_operator.status.build import new_status, stored_conditions
from market_operator.status.snapshot import Failure, Snapshot

NOW = 1_795_400_000.0
Make = Callable[..., Any]
UNAVAILABLE = (Failure("Deployment okx-btc-0", ApiError(503, "ServiceUnavailable", "busy")),)
FORBIDDEN = (Failure("Deployment okx-btc-0", ApiError(403, "Forbidden", "no")),)


class Bench:
    """One resource and what becomes of it."""

    def __init__(self, resource: Make, pod: Make, report: Make) -> None:
        self.resource, self._pod, self._report = resource, pod, report

    def pod(self, template: str, uid: str = "pod-1", **fields: Any) -> Pod:
        made: Pod = self._pod(uid=uid, template=template, **fields)
        return made

    def report(self, uid: str = "pod-1", **fields: Any) -> ProbeResult:
        made: Report = self._report(uid=uid, **fields)
        return ProbeResult(made)

    def snapshot(self, resource: Resource, **parts: Any) -> Snapshot:
        """All is well, unless told otherwise."""
        desired = build_desired_state(resource, "image:1")
        pods = (self.pod(desired.templates[0]),)
        base = Snapshot(desired, "", {}, pods, {"pod-1": self.report()}, (), stored_conditions(resource), NOW)
        return replace(base, **parts)

    def changed(self, resource: Resource, snapshot: Snapshot) -> Document:
        """The resource as tools see it after the write of its status."""
        meta = {"generation": resource.generation}
        return {"metadata": meta, "status": new_status(resource, snapshot, CounterState())}


@pytest.fixture
def bench(resource: Make, pod: Make, report: Make) -> Bench:
    return Bench(resource, pod, report)


def ready(document: Document) -> str:
    return str({each["type"]: each["status"] for each in document["status"]["conditions"]}["Ready"])


def test_a_resource_that_no_operator_saw_is_in_progress() -> None:
    assert kstatus({"metadata": {"generation": 1}, "status": PENDING}) == "InProgress"


def test_one_whose_data_flows_is_current(bench: Bench) -> None:
    assert kstatus(bench.changed(bench.resource(), bench.snapshot(bench.resource()))) == "Current"


def test_one_whose_spec_changed_since_is_in_progress(bench: Bench) -> None:
    document = bench.changed(bench.resource(), bench.snapshot(bench.resource()))
    document["metadata"]["generation"] = 2
    assert kstatus(document) == "InProgress"


def test_one_that_is_being_deleted_is_terminating(bench: Bench) -> None:
    document = bench.changed(bench.resource(), bench.snapshot(bench.resource()))
    document["metadata"]["deletionTimestamp"] = "2026-11-22T10:00:00Z"
    assert kstatus(document) == "Terminating"


def test_a_suspended_one_is_current(bench: Bench) -> None:
    asleep = bench.resource(suspend=True)
    assert kstatus(bench.changed(asleep, bench.snapshot(asleep, pods=()))) == "Current"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"pods": ()}, "InProgress"),
        ({"failures": UNAVAILABLE}, "InProgress"),
        ({"failures": FORBIDDEN}, "Failed"),
        ({"desired": None, "invalid": "spec.staleAfter: too long", "pods": ()}, "Failed"),
        ({"deployments": {0: {"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}}}, "InProgress"),
    ],
)
def test_by_the_picture(bench: Bench, parts: dict[str, Any], expected: str) -> None:
    resource = bench.resource()
    assert kstatus(bench.changed(resource, bench.snapshot(resource, **parts))) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"streams": [{"stream": "BTC-USDT/trade", "state": "stale"}]}, "InProgress"),
        (
            {"streams": [{"stream": "BTC-USDT/trade", "state": "refused", "reason": "SymbolNotFound"}]},
            "Failed",
        ),
        ({"gaps": [{"id": "1", "stream": "BTC-USDT/trade", "state": "open"}]}, "Current"),
        ({"sinks": [{"name": "out", "healthy": False, "error": "full"}]}, "InProgress"),
    ],
)
def test_by_what_the_collector_says(bench: Bench, fields: dict[str, Any], expected: str) -> None:
    resource = bench.resource()
    snapshot = bench.snapshot(resource, probes={"pod-1": bench.report(**fields)})
    assert kstatus(bench.changed(resource, snapshot)) == expected


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [("ContainerCreating", "InProgress"), ("ErrImagePull", "Failed"), ("CrashLoopBackOff", "Failed")],
)
def test_by_what_kubernetes_says_of_the_pod(bench: Bench, waiting: str, expected: str) -> None:
    resource = bench.resource()
    stuck = bench.pod("", state={"waiting": {"reason": waiting}}, ready=False)
    stuck = replace(stuck, template=bench.snapshot(resource).pods[0].template)
    document = bench.changed(resource, bench.snapshot(resource, pods=(stuck,)))
    assert (kstatus(document), ready(document)) == (expected, "False")


class TestANewGeneration:
    """Generation 2 was just written; the pods of generation 1 still stream."""

    @pytest.fixture
    def after(self, bench: Bench) -> Resource:
        before = bench.changed(bench.resource(), bench.snapshot(bench.resource()))
        changed: Resource = bench.resource(generation=2, status=before["status"], storeRawData=True)
        return changed

    @pytest.fixture
    def old(self, bench: Bench) -> tuple[Pod, ...]:
        return (bench.pod("before"),)

    def test_while_old_pods_deliver_it_is_ready_and_in_progress(
        self, bench: Bench, after: Resource, old: tuple[Pod, ...]
    ) -> None:
        document = bench.changed(after, bench.snapshot(after, pods=old))
        assert document["status"]["observedGeneration"] == 2
        assert (ready(document), kstatus(document)) == ("True", "InProgress")

    @pytest.mark.parametrize(("failures", "expected"), [(UNAVAILABLE, "InProgress"), (FORBIDDEN, "Failed")])
    def test_when_it_could_not_be_written_it_is_not_ready_whatever_streams(
        self, bench: Bench, after: Resource, old: tuple[Pod, ...], failures: Any, expected: str
    ) -> None:
        document = bench.changed(after, bench.snapshot(after, pods=old, failures=failures))
        assert (ready(document), kstatus(document)) == ("False", expected)

    def test_a_new_version_that_crashes_has_failed_though_the_old_one_streams(
        self, bench: Bench, after: Resource, old: tuple[Pod, ...]
    ) -> None:
        template = bench.snapshot(after).pods[0].template
        new = bench.pod(template, "pod-2", state={"waiting": {"reason": "CrashLoopBackOff"}}, ready=False)
        document = bench.changed(after, bench.snapshot(after, pods=(*old, new)))
        assert (ready(document), kstatus(document)) == ("False", "Failed")

    def test_when_the_new_pods_stream_it_is_current(self, bench: Bench, after: Resource) -> None:
        assert kstatus(bench.changed(after, bench.snapshot(after))) == "Current"
