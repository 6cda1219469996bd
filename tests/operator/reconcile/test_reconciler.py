"""The time of the next reconcile, and what it writes. tests/cluster covers the rest on a real API server."""

import json
from typing import Any

import pytest

from market_operator.app import assemble
from market_operator.cluster.actions import Action, Apply
from market_operator.cluster.pages import parse
from market_operator.reconcile.reconciler import Requeue
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import PAUSED_ANNOTATION, Key
from market_operator.settings import Settings
from owned import owned


class Empty:
    """A cluster without resources."""

    async def read(self, _: Key) -> None:
        """Not found."""


@pytest.mark.parametrize(("planned", "due"), [(None, 5.0), (9.0, 5.0), (2.0, 2.0)])
def test_requeue_at_most_is_never_later(planned: float | None, due: float) -> None:
    assert Requeue(planned, failed=True, retry_after=1.0).at_most(5.0) == Requeue(due, failed=True, retry_after=1.0)


async def test_missing_resource_is_checked_again_when_no_event_confirms_it() -> None:
    cluster: Any = Empty()
    app = assemble(Settings(), cluster, cluster)
    assert await app.reconciler.reconcile(Key("md", "okx-btc"), 0.0) == Requeue(5.0)
    app.informer.queue.close()


class Recreated:
    """A cluster with a resource, and a record of the writes."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.status: Document = {}

    async def read(self, key: Key) -> Document:
        meta = {"name": key.name, "namespace": key.namespace, "uid": "uid-2", "generation": 1, "resourceVersion": "9"}
        return {"metadata": meta, "spec": {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}}

    async def run(self, action: Action) -> None:
        self.kinds.append(action.manifest["kind"] if isinstance(action, Apply) else f"delete {action.kind}")

    async def write_status(self, _: Resource, patch: Document) -> Document:
        self.status = patch
        return {"metadata": {"resourceVersion": "10"}}

    async def create_event(self, _: Document) -> None:
        """Nothing."""


async def test_resource_waits_for_the_objects_of_its_predecessor_to_go() -> None:
    """A resource was deleted and created again at once. Its name's objects belong to the deleted one's UID."""
    fake = Recreated()
    cluster: Any = fake
    app = assemble(Settings(), cluster, cluster)
    for kind, name in (("Deployment", "okx-btc-0"), ("ConfigMap", "okx-btc-old")):
        meta = {"namespace": "md", "name": name, "uid": name, "resourceVersion": "5", **owned()}
        app.informer.cache.put(kind, {"metadata": meta, "spec": {"replicas": 1}})
    requeue = await app.reconciler.reconcile(Key("md", "okx-btc"), 1_795_000_000.0)
    app.informer.queue.close()
    assert fake.kinds == ["ConfigMap", "Service"]
    assert requeue.failed
    [workload] = [each for each in fake.status["conditions"] if each["type"] == "WorkloadReady"]
    assert workload["message"] == (
        "Could not write Deployment okx-btc-0: 409 NotYetDeleted: it belongs to a deleted resource of the same name. "
        "Kubernetes' garbage collector deletes it; retrying"
    )


class Paused(Recreated):
    """A cluster with a resource that a person has paused."""

    async def read(self, key: Key) -> Document:
        document = await super().read(key)
        document["metadata"]["annotations"] = {PAUSED_ANNOTATION: "true"}
        return document


async def test_paused_resource_gets_a_status_and_nothing_else() -> None:
    fake = Paused()
    cluster: Any = fake
    app = assemble(Settings(), cluster, cluster)
    await app.reconciler.reconcile(Key("md", "okx-btc"), 1_795_000_000.0)
    app.informer.queue.close()
    assert fake.kinds == []
    [stalled] = [each for each in fake.status["conditions"] if each["type"] == "Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "Paused")


class Nested(Recreated):
    """A cluster with a resource that has 300 levels, as it arrives."""

    async def read(self, key: Key) -> Document:
        affinity = '{"x":' * 300 + "1" + "}" * 300
        whole = json.dumps(await super().read(key)).replace(
            '"exchange"', f'"template": {{"affinity": {affinity}}}, "exchange"'
        )
        return parse("GET", whole.encode())


async def test_deeply_nested_resource_is_stalled_with_advice() -> None:
    fake = Nested()
    cluster: Any = fake
    app = assemble(Settings(), cluster, cluster)
    requeue = await app.reconciler.reconcile(Key("md", "okx-btc"), 1_795_000_000.0)
    app.informer.queue.close()
    assert (fake.kinds, requeue.failed) == ([], False)
    [stalled] = [each for each in fake.status["conditions"] if each["type"] == "Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert stalled["message"] == "spec.template.affinity.x: is nested deeper than 60 levels. Remove it"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Recreated:
    """A cluster, and an operator with an error in the code that builds manifests."""
    error = ZeroDivisionError("a bug")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("market_operator.reconcile.reconciler.build_desired_state", fail)
    return Recreated()


async def test_internal_error_of_a_reconcile_shows_in_the_status(broken: Recreated) -> None:
    """Otherwise the resource would stay Ready, as it was before the error."""
    cluster: Any = broken
    app = assemble(Settings(), cluster, cluster)
    with pytest.raises(ZeroDivisionError):
        await app.reconciler.reconcile(Key("md", "okx-btc"), 1_795_000_000.0)
    app.informer.queue.close()
    [ready] = broken.status["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "Unknown", "InternalError")
    assert "ZeroDivisionError('a bug')" in ready["message"]
    assert broken.status["health"] == "Unknown"
