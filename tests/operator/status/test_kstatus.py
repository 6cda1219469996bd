"""The operator's status as read by tools that follow kstatus."""

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
    """Builds one resource, its pods and the status that follows."""

    def __init__(self, resource: Make, pod: Make, report: Make) -> None:
        self.resource, self._pod, self._report = resource, pod, report

    def pod(self, template: str, uid: str = "pod-1", **fields: Any) -> Pod:
        made: Pod = self._pod(uid=uid, template=template, **fields)
        return made

    def report(self, uid: str = "pod-1", **fields: Any) -> ProbeResult:
        made: Report = self._report(uid=uid, **fields)
        return ProbeResult(made)

    def snapshot(self, resource: Resource, **parts: Any) -> Snapshot:
        """A healthy snapshot, apart from the given parts."""
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


def test_resource_is_current_when_data_flows(bench: Bench) -> None:
    assert kstatus(bench.changed(bench.resource(), bench.snapshot(bench.resource()))) == "Current"


def test_resource_is_in_progress_when_its_spec_changed(bench: Bench) -> None:
    document = bench.changed(bench.resource(), bench.snapshot(bench.resource()))
    document["metadata"]["generation"] = 2
    assert kstatus(document) == "InProgress"


def test_resource_is_terminating_while_it_is_deleted(bench: Bench) -> None:
    document = bench.changed(bench.resource(), bench.snapshot(bench.resource()))
    document["metadata"]["deletionTimestamp"] = "2026-11-22T10:00:00Z"
    assert kstatus(document) == "Terminating"


def test_suspended_resource_is_current(bench: Bench) -> None:
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
def test_kstatus_follows_from_the_snapshot(bench: Bench, parts: dict[str, Any], expected: str) -> None:
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
def test_kstatus_follows_from_the_report(bench: Bench, fields: dict[str, Any], expected: str) -> None:
    resource = bench.resource()
    snapshot = bench.snapshot(resource, probes={"pod-1": bench.report(**fields)})
    assert kstatus(bench.changed(resource, snapshot)) == expected


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [("ContainerCreating", "InProgress"), ("ErrImagePull", "Failed"), ("CrashLoopBackOff", "Failed")],
)
def test_kstatus_follows_from_the_pod(bench: Bench, waiting: str, expected: str) -> None:
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

    def test_rollout_is_ready_and_in_progress_while_old_pods_deliver(
        self, bench: Bench, after: Resource, old: tuple[Pod, ...]
    ) -> None:
        document = bench.changed(after, bench.snapshot(after, pods=old))
        assert document["status"]["observedGeneration"] == 2
        assert (ready(document), kstatus(document)) == ("True", "InProgress")

    @pytest.mark.parametrize(("failures", "expected"), [(UNAVAILABLE, "InProgress"), (FORBIDDEN, "Failed")])
    def test_resource_is_not_ready_when_a_write_failed(
        self, bench: Bench, after: Resource, old: tuple[Pod, ...], failures: Any, expected: str
    ) -> None:
        document = bench.changed(after, bench.snapshot(after, pods=old, failures=failures))
        assert (ready(document), kstatus(document)) == ("False", expected)

    def test_crashing_new_version_has_failed_while_the_old_one_streams(
        self, bench: Bench, after: Resource, old: tuple[Pod, ...]
    ) -> None:
        """Ready stays True, because data flows."""
        template = bench.snapshot(after).pods[0].template
        new = bench.pod(template, "pod-2", state={"waiting": {"reason": "CrashLoopBackOff"}}, ready=False)
        document = bench.changed(after, bench.snapshot(after, pods=(*old, new)))
        assert (ready(document), kstatus(document)) == ("True", "Failed")

    def test_refusal_of_an_old_pod_does_not_fail_the_new_generation(
        self, bench: Bench, after: Resource, old: tuple[Pod, ...]
    ) -> None:
        """The change may be the correction of the symbol that the old pod is refused."""
        refused = {"stream": "BTC-USDT/trade", "state": "refused", "reason": "SymbolNotFound"}
        snapshot = bench.snapshot(after, pods=old, probes={"pod-1": bench.report(streams=[refused])})
        assert kstatus(bench.changed(after, snapshot)) == "InProgress"

    def test_refusal_of_a_new_pod_fails_the_generation_during_the_rollout(
        self, bench: Bench, after: Resource, old: tuple[Pod, ...]
    ) -> None:
        """Tools wait while Reconciling is True, for minutes after the exchange has said no."""
        new = bench.pod(bench.snapshot(after).pods[0].template, "pod-2", ready=False)
        refused = {"stream": "BTC-USDT/trade", "state": "refused", "reason": "SymbolNotFound"}
        probes = {"pod-1": bench.report(), "pod-2": bench.report("pod-2", streams=[refused])}
        document = bench.changed(after, bench.snapshot(after, pods=(*old, new), probes=probes))
        assert kstatus(document) == "Failed"
        assert "Reconciling" not in {each["type"] for each in document["status"]["conditions"]}

    def test_resource_is_current_when_the_new_pods_stream(self, bench: Bench, after: Resource) -> None:
        assert kstatus(bench.changed(after, bench.snapshot(after))) == "Current"
