"""Lost watch events: the next listing finds every change, including deletions.

All losses run at the same time, each with a resource of its own. Every resource goes through the same lifecycle. It is
created, becomes Ready, gets another symbol, loses its Service and gets it back.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from api_calls import Event
from api_proxy import Pick
from end_state import differences

# One worker for all: they share one setup of many resources.
pytestmark = pytest.mark.xdist_group("lost events")


@dataclass(frozen=True)
class Loss:
    """The lost events of a resource by kind and type ("" is any): `times` events (None is all) after `skip`."""

    kind: str
    type: str = ""
    skip: int = 0
    times: int | None = 1


LOSSES = {
    "the resource's ADDED": Loss("marketcollectors", "ADDED"),
    "the resource's changes, all": Loss("marketcollectors", "MODIFIED", times=None),
    "everything of the resource": Loss("marketcollectors", times=None),
    **{
        f"{kind} {type_} {skip}": Loss(kind, type_, skip)
        for kind, type_, count in (
            ("configmaps", "ADDED", 2),
            ("configmaps", "DELETED", 1),
            ("services", "ADDED", 2),
            ("services", "DELETED", 1),
            ("deployments", "ADDED", 1),
            ("deployments", "MODIFIED", 6),
            ("pods", "ADDED", 2),
            ("pods", "MODIFIED", 4),
            ("pods", "DELETED", 1),
        )
        for skip in range(count)
    },
    **{f"{kind}, all": Loss(kind, times=None) for kind in ("configmaps", "services", "deployments", "pods")},
    "a Service's end and its successor's start": Loss("services", skip=1, times=2),
    "everything": Loss("", times=None),
}


@dataclass(frozen=True)
class Outcome:
    """The number of lost events, and the deviations from a resource without a loss."""

    hits: int
    differences: list[str]


@pytest.fixture(scope="module")
def outcomes(new_ground: Callable[[], AbstractContextManager[Any]]) -> Iterator[dict[str, Outcome]]:
    with new_ground() as ground:
        operator = ground.start("--sweep-interval", "2s")
        ground.eventually(lambda: _check(ground.proxy.count(lambda call: call.is_watch) >= 5))
        names = {loss: f"case-{number:02}" for number, loss in enumerate(LOSSES)}
        picks = {loss: _lose(ground, name, LOSSES[loss]) for loss, name in names.items()}
        everyone = ["plain", *names.values()]
        for name in everyone:
            ground.place.create(name, healthCheckInterval="1s")
        _wait_until(ground, "all are Ready", lambda: _not_ready(ground, everyone, 1))
        for name in everyone:
            ground.place.change(name, symbol="ETH-USDT")
        _wait_until(ground, "all are Ready again", lambda: _not_ready(ground, everyone, 2))
        for name in everyone:
            ground.place.api.delete("services", ground.namespace, f"{name}-0")
        _wait_until(ground, "all have a Service", lambda: {f"{n}-0" for n in everyone} - ground.place.names("services"))
        _wait_until(ground, "all are as the one without a loss", lambda: _different(ground, names))
        different = _different(ground, names)
        found = {loss: Outcome(picks[loss].hits, different.get(loss, [])) for loss in names}
        for name in everyone:
            ground.place.api.delete("mcol", ground.namespace, name)
        _wait_until(ground, "all are forgotten", lambda: operator.metric("resources{"))
        yield {**found, "remembered": Outcome(int(operator.metric("resources{")), [])}


def _lose(ground: Any, name: str, loss: Loss) -> Pick[Event]:
    def match(event: Event) -> bool:
        return event.is_of(name) and loss.kind in ("", event.kind) and loss.type in ("", event.type)

    return ground.proxy.lose(match, loss.skip, loss.times)  # type: ignore[no-any-return]


def _not_ready(ground: Any, names: list[str], generation: int) -> list[str]:
    states = {each["metadata"]["name"]: each for each in ground.place.api.all("mcol", ground.namespace)}
    return [name for name in names if not _is_ready(states[name].get("status"), generation)]


def _is_ready(status: Any, generation: int) -> bool:
    if not status:
        return False
    ready = {each["type"]: each["status"] for each in status["conditions"]}
    return (status["observedGeneration"], ready["Ready"], "Reconciling" in ready) == (generation, "True", False)


def _different(ground: Any, names: dict[str, str]) -> dict[str, list[str]]:
    states = ground.states(("plain", *names.values()))
    found = {loss: differences(states[name], states["plain"]) for loss, name in names.items()}
    return {loss: lines for loss, lines in found.items() if lines}


def _wait_until(ground: Any, what: str, pending: Callable[[], object], seconds: float = 60) -> None:
    """Waits until `pending` returns nothing. Each test reports its own deviations afterwards."""
    deadline = time.monotonic() + seconds
    while (rest := pending()) and time.monotonic() < deadline:
        ground.kubelet.catch_up()
        time.sleep(0.5)
    if rest:
        print(f"not reached in time: {what}: {rest}")


@pytest.mark.parametrize("loss", LOSSES)
def test_lost_event_is_compensated_by_the_next_listing(outcomes: dict[str, Outcome], loss: str) -> None:
    assert outcomes[loss].hits > 0, "there was no such event; the test shows nothing"
    assert outcomes[loss].differences == []


def test_resource_is_forgotten_when_its_deleted_event_is_lost(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["remembered"].hits == 0


def test_deletions_during_a_watch_gap_with_410_are_found(ground: Any) -> None:
    """After 410 the watch starts with a list. kopf does not report objects that are missing in it."""
    operator = ground.start("--sweep-interval", "2s")
    place = ground.place
    for name in ("stays", "goes"):
        place.create(name)
    ground.eventually(lambda: [place.expect("Ready", "True", "Ready", name, 0.0) for name in ("stays", "goes")])
    [old_pod] = [pod for pod in place.api.all("pods", ground.namespace) if pod["metadata"]["name"].startswith("stays")]
    old = place.api.get("services", ground.namespace, "stays-0")["metadata"]["uid"]
    gap = ground.proxy.lose(lambda event: True)
    place.api.delete("services", ground.namespace, "stays-0")
    place.api.delete("pods", ground.namespace, old_pod["metadata"]["name"])
    place.api.delete("mcol", ground.namespace, "goes")
    ground.eventually(lambda: _check(not [n for n in place.names("deployments") if n.startswith("goes")]), pods=False)
    assert ground.proxy.end_watches(gone=True) >= 5
    ground.proxy.heal()

    def is_consistent() -> None:
        assert place.api.get("services", ground.namespace, "stays-0")["metadata"]["uid"] != old
        assert place.status("stays")["messages"] == 200, "each pod counts once"
        assert place.condition("Ready", "stays")[:2] == ("True", "Ready")
        assert operator.metric("resources{") == 1

    ground.eventually(is_consistent)
    assert gap.hits > 0


def _check(claim: object) -> None:
    assert claim
