"""A status that the API server refuses: conditions are written, and an Event reports the refusal, which has a pause."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from market_operator.app import App, assemble
from market_operator.errors import ApiError
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import Key
from market_operator.settings import Settings

KEY = Key("md", "okx-btc")
START = 1_795_000_000.0
SPEC = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}
META = {"name": "okx-btc", "namespace": "md", "uid": "uid-1", "generation": 1, "resourceVersion": "7"}


class Strict:
    """A cluster that refuses every status with one of the fields `refused`."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.status: Document = {}
        self.tries: list[set[str]] = []
        self.events: list[Document] = []

    async def read(self, _: Key) -> Document:
        return {"metadata": META, "spec": SPEC, "status": self.status}

    async def run(self, _: object) -> None:
        """Writes nothing."""

    async def write_status(self, _: Resource, patch: Document) -> Document:
        self.tries.append(set(patch))
        if self.refused & set(patch):
            raise ApiError(422, "Invalid", "status.shardStatuses[0].epochs: Too many: 46: must have at most 32 items")
        self.status = {**self.status, **patch}
        return {"metadata": META}

    async def create_event(self, event: Document) -> None:
        self.events.append(event)


@pytest.fixture
async def strict() -> Strict:
    return Strict()


@pytest.fixture
async def app(strict: Strict) -> AsyncIterator[App]:
    cluster: Any = strict
    made = assemble(Settings(), cluster, cluster)
    yield made
    made.informer.queue.close()


def reasons(strict: Strict) -> list[str]:
    return [event["reason"] for event in strict.events]


async def test_conditions_are_written_when_the_counters_are_refused(strict: Strict, app: App) -> None:
    strict.refused = {"messages"}
    await app.reconciler.reconcile(KEY, START)
    assert set(strict.status) == {"observedGeneration", "conditions", "health"}
    assert reasons(strict).count("StatusRefused") == 1
    assert "Too many: 46" in strict.events[0]["note"]


async def test_refused_status_is_tried_again_only_after_a_pause(strict: Strict, app: App) -> None:
    strict.refused = {"messages"}
    for second in range(20):
        requeue = await app.reconciler.reconcile(KEY, START + second)
    assert len(strict.tries) == 2, "the whole status, and its conditions"
    assert requeue.after is not None
    strict.refused = set()
    await app.reconciler.reconcile(KEY, START + 19 + requeue.after)
    assert "messages" in strict.status


async def test_refused_conditions_are_not_repeated_at_once(strict: Strict, app: App) -> None:
    strict.refused = {"conditions"}
    for second in range(20):
        await app.reconciler.reconcile(KEY, START + second)
    assert len(strict.tries) == 2


@pytest.mark.parametrize("status", [403, 500])
async def test_other_failure_is_raised(strict: Strict, app: App, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    async def fail(*_: object) -> None:
        raise ApiError(status, "Failure", "")

    monkeypatch.setattr(strict, "write_status", fail)
    with pytest.raises(ApiError):
        await app.reconciler.reconcile(KEY, START)


def test_refusal_of_content_differs_from_other_errors() -> None:
    is_invalid: Callable[[int], bool] = lambda status: ApiError(status, "", "").is_invalid  # noqa: E731
    assert [status for status in (0, 400, 403, 404, 409, 413, 422, 429, 500) if is_invalid(status)] == [400, 413, 422]
