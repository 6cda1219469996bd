"""Writing Events: after the status, once each, and never at the cost of the reconcile."""

from collections.abc import Callable
from typing import cast

import pytest

from market_operator.cluster.client import Cluster
from market_operator.errors import ApiError
from market_operator.reconcile.event_recorder import EventRecorder
from market_operator.resource.document import Document, Resource
from market_operator.scheduling.event_budget import BURST
from market_operator.telemetry.metrics import Metrics

STALE = {
    "type": "Ready",
    "status": "False",
    "reason": "StreamsStale",
    "message": "2 of 3 streams deliver",
    "lastTransitionTime": "2026-11-22T10:00:00Z",
}


class EventSink:
    """A cluster that stores Events, or refuses them with `refusal`."""

    def __init__(self, refusal: ApiError | None = None) -> None:
        self.events: list[Document] = []
        self._refusal = refusal

    async def create_event(self, event: Document) -> None:
        if self._refusal:
            raise self._refusal
        self.events.append(event)


def new_recorder(sink: EventSink) -> EventRecorder:
    return EventRecorder(cast(Cluster, sink), Metrics(), instance="operator-0")


def written(recorder: EventRecorder, result: str) -> float:
    labels = {"action": "create", "kind": "Event", "result": result}
    return recorder.metrics.registry.get_sample_value("market_operator_api_writes_total", labels) or 0.0


async def test_event_is_written_only_when_a_condition_changes(resource: Callable[..., Resource]) -> None:
    sink = EventSink()
    recorder = new_recorder(sink)
    await recorder.create_event(resource(), [STALE], 0.0)
    await recorder.create_event(resource(status={"conditions": [STALE]}), [STALE], 1.0)
    assert [(each["reason"], each["reportingInstance"]) for each in sink.events] == [("StreamsStale", "operator-0")]


@pytest.mark.parametrize("refusal", [ApiError(403, "Forbidden", "no"), ApiError(0, "TimeoutError", "no answer")])
async def test_failed_event_is_counted_and_raises_nothing(resource: Callable[..., Resource], refusal: ApiError) -> None:
    recorder = new_recorder(EventSink(refusal))
    await recorder.create_event(resource(), [STALE], 0.0)
    assert written(recorder, "failed") == 1


async def test_event_in_a_terminating_namespace_is_no_failure(resource: Callable[..., Resource]) -> None:
    recorder = new_recorder(EventSink(ApiError(403, "Forbidden", "no", causes=("NamespaceTerminating",))))
    await recorder.create_event(resource(), [STALE], 0.0)
    assert written(recorder, "failed") == 0


async def test_events_of_a_flapping_resource_are_limited_and_counted(resource: Callable[..., Resource]) -> None:
    sink = EventSink()
    recorder = new_recorder(sink)
    for second in range(BURST + 10):
        await recorder.create_event(resource(), [STALE], float(second))
    assert (len(sink.events), written(recorder, "left out")) == (BURST, 10)
    recorder.forget(resource().key)
    await recorder.create_event(resource(), [STALE], 60.0)
    assert len(sink.events) == BURST + 1
