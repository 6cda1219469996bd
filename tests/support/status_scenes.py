"""Snapshots of one resource, and the conditions that follow from them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from market_operator.manifests.build import build_desired_state
from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.status.conditions import conditions
from market_operator.status.snapshot import Snapshot

NOW = 1_795_345_600.0
Make = Callable[..., Any]


class Scene:
    """Builds snapshots of one resource."""

    def __init__(self, resource: Make, pod: Make, report: Make, pod_document: Make) -> None:
        self._resource, self._pod, self._report, self._pod_document = resource, pod, report, pod_document
        self.desired = self.want()

    def want(self, **spec: Any) -> DesiredState:
        """Set the fields of the spec."""
        self.desired = build_desired_state(self._resource(**spec), "image")
        return self.desired

    def pod(self, uid: str = "pod-1", shard: int = 0, template: str | None = None, **fields: Any) -> Pod:
        made: Pod = self._pod(uid=uid, shard=shard, template=template or self.desired.templates[shard], **fields)
        return made

    def pod_document(self, **fields: Any) -> dict[str, Any]:
        """A pod of the desired version, as the API server returns it."""
        made: dict[str, Any] = self._pod_document(template=self.desired.templates[0], **fields)
        return made

    def report(self, uid: str = "pod-1", **fields: Any) -> Report:
        made: Report = self._report(uid=uid, **fields)
        return made

    def snapshot(self, *pods: Pod, probes: dict[str, ProbeResult] | None = None, **fields: Any) -> Snapshot:
        """A snapshot in which all pods report healthy, apart from the given fields."""
        if probes is None:
            probes = {pod.uid: ProbeResult(self.report(pod.uid)) for pod in pods if pod.is_running}
        base = Snapshot(self.desired, "", {}, pods, probes, (), {}, NOW)
        return replace(base, **fields)

    def streams(self, *states: str, reason: str = "") -> dict[str, ProbeResult]:
        names = ("trade", "orderbook", "ticker")
        listed = [
            {"stream": f"BTC-USDT/{name}", "state": state, "reason": reason, "since": "2026-11-22T10:00:00Z"}
            for name, state in zip(names, states, strict=True)
        ]
        return {"pod-1": ProbeResult(self.report(streams=listed))}


def deployment(*conditions: dict[str, str], generation: int = 1, observed: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "status": {"observedGeneration": observed, "conditions": [*conditions]},
    }


def said(snapshot: Snapshot, kind: str) -> tuple[str, str]:
    state = conditions(snapshot)[kind]
    assert state.message
    return state.status, state.reason
