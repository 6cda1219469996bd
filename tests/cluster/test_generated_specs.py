"""Specs generated from the schema: each accepted one ends Ready or with a reason, and none causes a hot loop."""

import time
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, settings

from kube import ROOT
from schema_specs import specs

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
RESOURCES = 40
NOWHERE = {"op-test/no-such-node": "true"}
# Reasons of unfinished work. None of them may be the final one.
_UNDERWAY = ("Pending", "RollingOut", "StreamsPending", "CollectorNotRunning", "PodsNotReady", "Unschedulable")


def schema() -> Document:
    definition = yaml.safe_load((ROOT / "crds/marketcollectors.yaml").read_text())
    found: Document = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def accepted_specs(place: Any) -> list[Document]:
    """Generated specs that the API server accepts. It may refuse others, but it must not fail."""
    accepted: list[Document] = []

    @settings(max_examples=16 * RESOURCES, phases=[Phase.generate], suppress_health_check=[*HealthCheck], database=None)
    @given(specs(schema()))
    def ask(spec: Document) -> None:
        bounded = within_bounds(spec)
        if bounded not in accepted and is_accepted(place, bounded):
            accepted.append(bounded)

    ask()
    assert len(accepted) >= RESOURCES
    # Consecutive examples are similar.
    return accepted[:: len(accepted) // RESOURCES][:RESOURCES]


def is_accepted(place: Any, spec: Document) -> bool:
    try:
        place.api.create("mcol", place.namespace, document("drawn", spec), "?dryRun=All")
    except Exception as refusal:
        if getattr(refusal, "status", 0) in (400, 422):
            return False
        raise
    return True


def within_bounds(spec: Document) -> Document:
    """`spec` with few pods, which fit no node."""
    most = {"shards": 2, "replicas": 2}
    fewer = {name: min(spec[name], limit) for name, limit in most.items() if name in spec}
    return spec | fewer | {"template": spec.get("template", {}) | {"nodeSelector": NOWHERE}}


def document(name: str, spec: Document) -> Document:
    return {
        "apiVersion": "marketcollector.dev/v1alpha1",
        "kind": "MarketCollector",
        "metadata": {"name": name},
        "spec": spec,
    }


def test_accepted_spec_ends_ready_or_has_a_reason(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    drawn = accepted_specs(place)
    operator = start()
    for number, spec in enumerate(drawn):
        place.api.create("mcol", place.namespace, document(f"drawn-{number}", spec))

    def all_final() -> None:
        kubelet.catch_up()
        for each in place.api.all("mcol", place.namespace):
            assert each["status"]["observedGeneration"] == each["metadata"]["generation"]
            [ready] = [c for c in each["status"]["conditions"] if c["type"] == "Ready"]
            assert ready["reason"] not in _UNDERWAY, (ready, each["spec"])
            assert ready["message"]
            assert ready["status"] == "True" or ready["reason"] != "Ready"

    eventually(all_final)
    conditions = [c for each in place.api.all("mcol", place.namespace) for c in each["status"]["conditions"]]
    reasons = {(each["status"], each["reason"]) for each in conditions if each["type"] == "Ready"}
    assert ("True", "Ready") in reasons, "some generated specs are possible"
    assert "Traceback" not in operator.log.read_text()
    before = operator.metric("reconcile_total")
    time.sleep(3)
    assert operator.metric("reconcile_total") - before < 2 * RESOURCES, "no hot loop: failures are retried slowly"
