"""Writing Events: after the status, once, and never at the cost of the pass."""

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


class Board:
    """A cluster that takes Events, as long as it is not told to refuse them."""

    def __init__(self, refusal: ApiError | None = None) -> None:
        self.events: list[Document] = []
        self._refusal = refusal

    async def create_event(self, event: Document) -> None:
        if self._refusal:
            raise self._refusal
        self.events.append(event)


def announcer(board: Board) -> EventRecorder:
    return EventRecorder(cast(Cluster, board), Metrics(), instance="operator-0")


def written(speaker: EventRecorder, result: str) -> float:
    labels = {"action": "create", "kind": "Event", "result": result}
    return speaker.metrics.registry.get_sample_value("market_operator_api_writes_total", labels) or 0.0


async def test_a_turn_is_told_and_what_stays_is_not(resource: Callable[..., Resource]) -> None:
    board = Board()
    speaker = announcer(board)
    await speaker.create_event(resource(), [STALE], 0.0)
    await speaker.create_event(resource(status={"conditions": [STALE]}), [STALE], 1.0)
    assert [(each["reason"], each["reportingInstance"]) for each in board.events] == [("StreamsStale", "operator-0")]


@pytest.mark.parametrize("refusal", [ApiError(403, "Forbidden", "no"), ApiError(0, "TimeoutError", "no answer")])
async def test_an_event_that_cannot_be_written_is_counted_and_harms_nothing(
    resource: Callable[..., Resource], refusal: ApiError
) -> None:
    speaker = announcer(Board(refusal))
    await speaker.create_event(resource(), [STALE], 0.0)
    assert written(speaker, "failed") == 1


async def test_an_event_in_a_namespace_that_ends_is_no_failure(resource: Callable[..., Resource]) -> None:
    speaker = announcer(Board(ApiError(403, "Forbidden", "no", causes=("NamespaceTerminating",))))
    await speaker.create_event(resource(), [STALE], 0.0)
    assert written(speaker, "failed") == 0


async def test_a_resource_that_flaps_is_cut_off_and_counted(resource: Callable[..., Resource]) -> None:
    board = Board()
    speaker = announcer(board)
    for second in range(BURST + 10):
        await speaker.create_event(resource(), [STALE], float(second))
    assert (len(board.events), written(speaker, "left out")) == (BURST, 10)
    speaker.forget(resource().key)
    await speaker.create_event(resource(), [STALE], 60.0)
    assert len(board.events) == BURST + 1
