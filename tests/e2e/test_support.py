"""The helpers of the end-to-end tests, without a cluster: a wrong helper could pass everything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e_operator import NO_RIGHT
from e2e_places import condition, is_ready, local_processes, market_collector, simulator_objects
from kube import Document, TooLateError, eventually, whole_documents


def resource(status: str, seen: int, generation: int) -> Document:
    entry = {"type": "Ready", "status": status, "reason": "Because", "message": "."}
    return {"metadata": {"generation": generation}, "status": {"observedGeneration": seen, "conditions": [entry]}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (resource("True", seen=2, generation=2), True),
        (resource("True", seen=1, generation=2), False),
        (resource("False", seen=2, generation=2), False),
        ({"metadata": {"generation": 1}}, False),
    ],
)
def test_ready_counts_only_for_the_current_generation(given: Document, expected: bool) -> None:
    assert is_ready(given) is expected


def test_missing_condition_is_unknown() -> None:
    assert condition({}, "Ready").status == "Unknown"


@pytest.mark.parametrize("statuses", [{}, {"containerStatuses": []}, {"containerStatuses": [{"restartCount": 0}]}])
def test_pod_that_has_not_started_has_no_processes(statuses: Document) -> None:
    """A new pod has a status without containers, and then a container without an ID."""
    assert local_processes({"status": statuses}) == []


def test_watch_output_is_split_into_objects() -> None:
    objects: list[Any] = [{"a": {"b": [1, 2]}}, {"c": "}"}]
    text = "\n".join(json.dumps(object_, indent=4) for object_ in objects) + "\n"
    assert list(whole_documents(iter(text.splitlines(keepends=True)))) == objects


def test_eventually_returns_the_answer_or_names_the_missing_event() -> None:
    answers = iter([None, 0, 7])
    assert eventually(lambda: next(answers), within=5, what="seven", every=0) == 7
    with pytest.raises(TooLateError, match="not within 0 s: the moon"):
        eventually(lambda: None, within=0, what="the moon", every=0)


def test_field_can_be_left_out_of_the_standard_resource() -> None:
    spec = market_collector(symbol=None, symbols=["BTC-USDT"])["spec"]
    assert "symbol" not in spec
    assert spec["symbols"] == ["BTC-USDT"]


def test_simulator_gets_a_market_and_keeps_its_addresses() -> None:
    deployment, service = simulator_objects(["A-USDT", "B-USDT"])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"] == [
        *("serve", "--exchange=okx", "--market=7", "--symbols=A-USDT,B-USDT"),
        *("--listen=0.0.0.0:8443", "--control=0.0.0.0:8444"),
    ]
    assert service["kind"] == "Service"


def test_simulator_of_another_exchange_has_its_own_name_everywhere() -> None:
    deployment, service = simulator_objects(["A-USDT"], "bybit")
    assert "--exchange=bybit" in deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert deployment["metadata"]["name"] == service["metadata"]["name"] == "simulator-bybit"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == "simulator-bybit"
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == labels


@pytest.mark.parametrize("line", ['{"status": 403}', 'services is forbidden: User "x"', "403 Forbidden: no"])
def test_denied_right_is_recognised(line: str) -> None:
    assert NO_RIGHT.search(line)


ENDING = '403 Forbidden: services "a" is forbidden: unable to create new content in x because it is being terminated'


@pytest.mark.parametrize("line", ['{"duration": 0.1403}', "reconciled 14035 resources", "uid 94031a", ENDING])
def test_number_or_terminating_namespace_is_no_denied_right(line: str) -> None:
    assert not NO_RIGHT.search(line)
