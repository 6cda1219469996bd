"""Two ways to one state have equal end states, and visible differences are found."""

from typing import Any

import pytest

from end_state import differences, end_state

LABELS = {"marketcollector.dev/shard": "0"}


def counts(messages: int) -> dict[str, Any]:
    return {"messages": messages}


def resource(name: str, base: int = 100, epoch: int = 100, **status: Any) -> dict[str, Any]:
    epochs = [{"epoch": f"{name}-uid/t1", "pod": f"{name}-0-abc", **counts(epoch)}]
    shard = {"shard": 0, "base": counts(base), "epochs": epochs}
    return {
        "metadata": {"name": name, "uid": f"{name}-uid", "resourceVersion": name[-1], "generation": 2},
        "status": {"shardStatuses": [shard], "messages": base + epoch, **status},
    }


def child(name: str, version: str = "1", hash_: str = "0123456789", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"{name}-0-{hash_}", "resourceVersion": version, "labels": LABELS}, "spec": spec}


def pod(name: str, ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": LABELS},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


GOLDEN = end_state("case-1", resource("case-1"), [child("case-1")], [pod("case-1-0-x")])


def test_states_are_equal_despite_names_versions_times_and_hashes() -> None:
    other = resource("case-2", base=150, epoch=50)
    found = end_state("case-2", other, [child("case-2", "7", "abcdef0123")], [pod("case-2-0-y")])
    assert differences(found, GOLDEN) == []


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("/resource/status", end_state("case-1", resource("case-1", epoch=200), [child("case-1")], [pod("p")])),
        ("/resource/status/health", end_state("case-1", resource("case-1", health="x"), [child("case-1")], [pod("p")])),
        (
            "/children",
            end_state("case-1", resource("case-1"), [child("case-1"), child("case-1", hash_="00000000")], []),
        ),
        ("/children/0/spec/replicas", end_state("case-1", resource("case-1"), [child("case-1", replicas=2)], [])),
        ("/pods", end_state("case-1", resource("case-1"), [child("case-1")], [pod("p"), pod("q", "False")])),
    ],
)
def test_relevant_difference_is_reported_with_its_path(where: str, found: dict[str, Any]) -> None:
    assert any(line.startswith(where) for line in differences(found, GOLDEN)), differences(found, GOLDEN)
