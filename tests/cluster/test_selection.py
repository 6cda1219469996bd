"""Selectors: the operator reads them like the API server, and two operators can share a namespace."""

import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from label_selectors import LABELS, REFUSED, SELECTED

Start = Callable[..., Any]
Eventually = Callable[..., None]


def test_api_server_selects_by_the_same_table(api: Any, namespace: str) -> None:
    for number, labels in enumerate(LABELS):
        api.create("configmaps", namespace, {"metadata": {"name": f"c-{number}", "labels": {"own": "1", **labels}}})
    for text, selected in SELECTED:
        found = selected_by(api, namespace, f"own,{text}" if text else "own")
        assert found == {f"c-{number}" for number, is_selected in enumerate(selected) if is_selected}, text


@pytest.mark.parametrize("text", [text for text, _ in REFUSED])
def test_api_server_refuses_the_same_selectors(api: Any, namespace: str, text: str) -> None:
    with pytest.raises(Exception, match=r"found|Invalid value") as refusal:
        selected_by(api, namespace, text)
    assert getattr(refusal.value, "status", None) == 400


def selected_by(api: Any, namespace: str, selector: str) -> set[str]:
    path = f"api/v1/namespaces/{namespace}/configmaps?labelSelector={urllib.parse.quote(selector)}"
    return {each["metadata"]["name"] for each in api.call("GET", path)["items"]}


def label(place: Any, name: str, team: str | None) -> None:
    place.api.merge("mcol", place.namespace, name, {"metadata": {"labels": {"team": team}}})


def create(place: Any, name: str, team: str, like: dict[str, Any]) -> None:
    place.api.create("mcol", place.namespace, {**like, "metadata": {"name": name, "labels": {"team": team}}})


@pytest.fixture
def plain(place: Any) -> dict[str, Any]:
    """A resource without a label, which no operator of these tests serves."""
    made = place.create("nobodys")
    return {key: made[key] for key in ("apiVersion", "kind", "spec")}


def test_two_operators_with_disjoint_selectors_do_not_disturb_each_other(
    place: Any, kubelet: Any, start: Start, plain: dict[str, Any], eventually: Eventually
) -> None:
    team = {name: start("--selector", f"team={name}", "--sweep-interval", "1s") for name in ("a", "b")}
    create(place, "of-a", "a", plain)
    create(place, "of-b", "b", plain)
    kubelet.run_all(2)
    for name in ("of-a", "of-b"):
        place.expect("Ready", "True", "Ready", name)
    for name, operator in team.items():
        assert operator.metric('api_writes_total{action="apply",kind="Deployment"') == 1, name
        assert operator.metric("resources{") == 1, "each counts only its own resource"
    before = place.versions()
    sweeps = {name: operator.metric("sweeps_total") for name, operator in team.items()}
    eventually(lambda: listed_twice_more(team, sweeps))
    assert place.versions() == before
    assert place.status("nobodys")["observedGeneration"] == -1
    assert place.names("deployments") == {"of-a-0", "of-b-0"}


def listed_twice_more(team: dict[str, Any], before: dict[str, float]) -> None:
    for name, operator in team.items():
        assert operator.metric("sweeps_total") >= before[name] + 2


def test_relabelled_resource_moves_to_another_operator_with_its_pods(
    place: Any, kubelet: Any, start: Start, plain: dict[str, Any], eventually: Eventually
) -> None:
    team = {name: start("--selector", f"team={name}") for name in ("a", "b")}
    create(place, "mine", "a", plain)
    [pod] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready", "mine")
    label(place, "mine", "b")
    eventually(lambda: serves(team["b"], 1))
    eventually(lambda: serves(team["a"], 0))
    pod.report = {**pod.report, "counters": {"messages": 500}}
    eventually(lambda: counted(place, 500))
    place.api.merge("mcol", place.namespace, "mine", {"spec": {"logLevel": "debug"}})
    eventually(lambda: observed(place, 2))
    assert team["a"].metric('api_writes_total{action="apply",kind="Deployment"') == 1
    assert [each["metadata"]["name"] for each in kubelet.living()].count(pod.name) == 1, "its pod kept running"


def test_resource_is_left_as_it_is_when_no_longer_selected(
    place: Any, kubelet: Any, start: Start, plain: dict[str, Any], eventually: Eventually
) -> None:
    operator = start("--selector", "team in (a),!paused", "--sweep-interval", "1s")
    create(place, "mine", "a", plain)
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready", "mine")
    label(place, "mine", None)
    eventually(lambda: serves(operator, 0))
    before = place.versions()
    place.api.delete("services", place.namespace, "mine-0")
    sweeps = {"it": operator.metric("sweeps_total")}
    eventually(lambda: listed_twice_more({"it": operator}, sweeps))
    assert place.names("services") == set(), "an object of an unselected resource is not restored"
    del before["services/mine-0"]
    assert place.versions() == before


def serves(operator: Any, resources: int) -> None:
    assert operator.metric("resources{") == resources


def counted(place: Any, messages: int) -> None:
    assert place.status("mine")["messages"] == messages


def observed(place: Any, generation: int) -> None:
    assert place.status("mine")["observedGeneration"] == generation
