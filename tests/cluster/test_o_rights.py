"""O. Rights: with exactly what the chart grants, cluster-wide or in one namespace, no call is refused."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chart_account import Account, chart_account, refusals

Start = Callable[..., Any]
Eventually = Callable[..., None]
Grant = Callable[..., Account]


@pytest.fixture
def grant(api: Any, namespace: str, tmp_path: Path) -> Iterator[Grant]:
    """Installs the chart's rights in a namespace of the operator's own, which is not the one that it serves."""
    home = f"{namespace}-home"
    api.call("POST", "api/v1/namespaces", {"metadata": {"name": home}})
    granted: list[Account] = []

    def make(*settings: str) -> Account:
        granted.append(chart_account(home, tmp_path, *settings))
        return granted[-1]

    yield make
    for account in granted:
        account.remove()
    api.call("DELETE", f"api/v1/namespaces/{home}")


def live(place: Any, kubelet: Any, eventually: Eventually) -> None:
    """A whole life of a resource: made, ready, changed, scaled, put back, suspended, resumed, deleted."""
    place.create(symbols=["A-B", "C-D"], shards=2)
    kubelet.run_all(2)
    place.expect("Ready", "True", "Ready")
    place.change(dataTypes=["trade"])
    place.api.delete("services", place.namespace, "okx-btc-0")
    place.change(shards=1)

    def one_shard() -> None:
        kubelet.catch_up()
        assert place.names("deployments") == place.names("services") == {"okx-btc-0"}
        assert len(place.names("configmaps")) == 1
        assert place.condition("Ready")[:2] == ("True", "Ready")

    eventually(one_shard)
    place.change(suspend=True)
    place.expect("Ready", "True", "Suspended")
    place.change(suspend=False)
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    place.api.delete("mcol", place.namespace, "okx-btc")
    eventually(lambda: _empty(place))


def _empty(place: Any) -> None:
    assert not [name for kind in ("mcol", "deployments", "services", "configmaps") for name in place.names(kind)]


@pytest.mark.parametrize("scope", ["all namespaces", "one namespace"])
def test_o_the_charts_rights_are_enough_for_a_whole_life(
    scope: str, place: Any, kubelet: Any, start: Start, grant: Grant, namespace: str, eventually: Eventually
) -> None:
    account = grant(*([f'namespaces=["{namespace}"]'] if scope == "one namespace" else []))
    operator = start(*("--sweep-interval", "1s", *account.arguments), environment=account.environment, everywhere=True)
    live(place, kubelet, eventually)
    sweeps = operator.metric("sweeps_total")
    eventually(lambda: _more(operator, sweeps))
    assert refusals(operator.log.read_text()) == []
    assert operator.stop() == 0
    assert refusals(operator.log.read_text()) == []


def _more(operator: Any, sweeps: float) -> None:
    assert operator.metric("sweeps_total") >= sweeps + 2


def test_o_a_right_that_is_missing_is_told_and_the_rest_goes_on(
    place: Any, start: Start, grant: Grant, namespace: str
) -> None:
    account = grant(f'namespaces=["{namespace}"]')
    [role] = [each for each in account.objects if each["kind"] == "Role" and each["metadata"]["namespace"] == namespace]
    path = f"apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{role['metadata']['name']}"
    less = [rule for each in role["rules"] for rule in _without_writing_services(each)]
    place.api.call("PATCH", path, {"rules": less}, "application/merge-patch+json")
    operator = start(*account.arguments, environment=account.environment, everywhere=True)
    place.create()
    message = place.expect("WorkloadReady", "False", "ApplyFailed")
    assert "Service okx-btc-0: 403 Forbidden" in message
    assert place.names("deployments") == {"okx-btc-0"}
    assert refusals(operator.log.read_text()), "the tests above would see it"
    assert operator.metric("workqueue_retries_total") < 8, "retries slow down"
    place.api.call("PATCH", path, {"rules": role["rules"]}, "application/merge-patch+json")
    place.expect("WorkloadReady", "False", "Unschedulable", seconds=40)
    assert place.names("services") == {"okx-btc-0"}


def _without_writing_services(rule: dict[str, Any]) -> list[dict[str, Any]]:
    if "services" not in rule["resources"]:
        return [rule]
    others = [name for name in rule["resources"] if name != "services"]
    return [{**rule, "resources": others}, {**rule, "resources": ["services"], "verbs": ["get", "list", "watch"]}]
