"""RBAC: with the rights of the chart, cluster-wide or in one namespace, no call is refused."""

import contextlib
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api_calls import Call
from api_proxy import ApiProxy
from chart_account import Account, chart_account, refusals

Start = Callable[..., Any]
Eventually = Callable[..., None]
Grant = Callable[..., Account]


@pytest.fixture
def grant(api: Any, namespace: str, tmp_path: Path) -> Iterator[Grant]:
    """Installs the chart's rights in a namespace of the operator's own, apart from the served one."""
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


def run_lifecycle(place: Any, kubelet: Any, eventually: Eventually) -> None:
    """Runs a resource through its lifecycle: create, change, scale, revert, suspend, resume, delete."""
    place.create(symbols=["A-B", "C-D"], shards=2)
    kubelet.run_all(2)
    place.expect("Ready", "True", "Ready")
    assert place.names("networkpolicies") == {"okx-btc-collectors"}, "the chart's arguments ask for it"
    place.change(dataTypes=["trade"], replicas=2)
    eventually(lambda: _protected(place))
    place.api.delete("services", place.namespace, "okx-btc-0")
    place.change(shards=1, replicas=1)

    def one_shard() -> None:
        kubelet.catch_up()
        assert place.names("deployments") == place.names("services") == {"okx-btc-0"}
        assert len(place.names("configmaps")) == 1
        assert place.names("poddisruptionbudgets") == set()
        assert place.condition("Ready")[:2] == ("True", "Ready")

    eventually(one_shard)
    place.change(suspend=True)
    place.expect("Ready", "True", "Suspended")
    place.change(suspend=False)
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    place.api.delete("mcol", place.namespace, "okx-btc")
    eventually(lambda: _empty(place))


def _protected(place: Any) -> None:
    assert place.names("poddisruptionbudgets") == {"okx-btc-0", "okx-btc-1"}


def _empty(place: Any) -> None:
    kinds = ("mcol", "deployments", "services", "configmaps", "handovers", "poddisruptionbudgets", "networkpolicies")
    assert not [name for kind in kinds for name in place.names(kind)]


@pytest.mark.parametrize("scope", [pytest.param("all namespaces", marks=pytest.mark.alone), "one namespace"])
def test_chart_rights_suffice_for_a_full_lifecycle(
    scope: str, place: Any, kubelet: Any, start: Start, grant: Grant, namespace: str, eventually: Eventually
) -> None:
    account = grant(*([f'namespaces=["{namespace}"]'] if scope == "one namespace" else []))
    operator = start(*("--sweep-interval", "1s", *account.arguments), environment=account.environment, everywhere=True)
    run_lifecycle(place, kubelet, eventually)
    sweeps = operator.metric("sweeps_total")
    eventually(lambda: _listed_twice_more(operator, sweeps))
    assert refusals(operator.log.read_text()) == []
    assert operator.stop() == 0
    assert refusals(operator.log.read_text()) == []


Right = tuple[str, str, str]
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def test_chart_grants_only_rights_that_are_used(
    place: Any, kubelet: Any, start: Start, grant: Grant, namespace: str, kubeconfig: str, eventually: Eventually
) -> None:
    """With the test above, which misses no right, this shows that the chart grants exactly the needed ones."""
    account = grant(f'namespaces=["{namespace}"]')
    with ApiProxy.to(Path(kubeconfig)) as proxy:
        through = {**account.environment, "KUBECONFIG": str(proxy.write_kubeconfig(_proxy_kubeconfig(account)))}
        operator = start(*account.arguments, environment=through, everywhere=True)
        run_lifecycle(place, kubelet, eventually)
        place.create("later")
        eventually(lambda: _has_policies(place, {"later-collectors"}))
        operator.stop()
        without_policies = [
            argument for argument in account.arguments if not argument.startswith(("--allow-", "--block"))
        ]
        start(*without_policies, environment=through, everywhere=True)
        eventually(lambda: _has_policies(place, set()))
        used = {right for call in proxy.calls for right in _rights(call)}
    rules = [rule for each in account.objects if each["kind"] == "Role" for rule in each["rules"]]
    assert used == {
        (group, kind, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for kind in rule["resources"]
        for verb in rule["verbs"]
    }


def _has_policies(place: Any, names: set[str]) -> None:
    """Asserts the policies; an installation may turn them on and off."""
    assert place.names("networkpolicies") == names


def _proxy_kubeconfig(account: Account) -> Path:
    return Path(account.environment["KUBECONFIG"]).with_suffix(".proxy")


def _rights(call: Call) -> Iterator[Right]:
    """The rights that a call needs. An apply needs patch, and create for an object that does not exist yet."""
    if not call.kind:
        return  # discovery needs no right
    group = call.path.split("/")[2] if call.path.startswith("/apis/") else ""
    verb = "watch" if call.is_watch else "list" if call.is_list else _VERBS[call.method]
    yield group, call.kind, verb
    if verb == "patch" and "force=" in call.query:
        yield group, call.kind, "create"


def _listed_twice_more(operator: Any, sweeps: float) -> None:
    assert operator.metric("sweeps_total") >= sweeps + 2


def test_missing_right_is_reported_and_other_writes_go_on(
    place: Any, start: Start, grant: Grant, namespace: str
) -> None:
    account = grant(f'namespaces=["{namespace}"]')
    [role] = [each for each in account.objects if each["kind"] == "Role" and each["metadata"]["namespace"] == namespace]
    path = f"apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{role['metadata']['name']}"
    reduced = [rule for each in role["rules"] for rule in _without_writing_services(each)]
    place.api.call("PATCH", path, {"rules": reduced}, "application/merge-patch+json")
    operator = start(*account.arguments, environment=account.environment, everywhere=True)
    place.create()
    message = place.expect("WorkloadReady", "False", "ApplyFailed")
    assert "Service okx-btc-0: 403 Forbidden" in message
    assert place.names("deployments") == {"okx-btc-0"}
    assert refusals(operator.log.read_text()), "the tests above would detect it"
    assert operator.metric("workqueue_retries_total") < 8, "retries slow down"
    place.api.call("PATCH", path, {"rules": role["rules"]}, "application/merge-patch+json")
    place.expect("WorkloadReady", "False", "Unschedulable", seconds=40)
    assert place.names("services") == {"okx-btc-0"}


def _without_writing_services(rule: dict[str, Any]) -> list[dict[str, Any]]:
    if "services" not in rule["resources"]:
        return [rule]
    others = [name for name in rule["resources"] if name != "services"]
    return [{**rule, "resources": others}, {**rule, "resources": ["services"], "verbs": ["get", "list", "watch"]}]


def rights_path(account: Account, kind: str, namespace: str) -> str:
    """Path of the account's Role or RoleBinding in a namespace."""
    [name] = [
        each["metadata"]["name"]
        for each in account.objects
        if each["kind"] == kind and each["metadata"]["namespace"] == namespace
    ]
    return f"apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{kind.lower()}s/{name}"


@pytest.fixture
def tenant(api: Any, namespace: str) -> Iterator[str]:
    """Another served namespace, which sorts before the first."""
    name = f"a-{namespace}"
    api.call("POST", "api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    api.call("DELETE", f"api/v1/namespaces/{name}")


def test_namespace_without_rights_concerns_no_other(
    place: Any, start: Start, grant: Grant, namespace: str, tenant: str, eventually: Eventually
) -> None:
    """An admin of one namespace deletes the operator's binding there: before its start, and while it runs."""
    account = grant(f'namespaces=["{tenant}", "{namespace}"]')
    path = rights_path(account, "RoleBinding", tenant)
    binding = place.api.call("GET", path)
    place.api.call("DELETE", path)
    operator = start(
        *("--sweep-interval", "1s", *account.arguments), environment=account.environment, everywhere=True, wait=False
    )
    eventually(lambda: _serves_all_but(operator, tenant))
    place.create()
    place.expect("WorkloadReady", "False", "Unschedulable")
    theirs = type(place)(place.api, tenant)
    theirs.create()
    binding["metadata"] = {"name": binding["metadata"]["name"]}
    place.api.call("POST", path.rpartition("/")[0], binding)
    theirs.expect("WorkloadReady", "False", "Unschedulable")
    # One of its listings is complete; the others are read again within 10 s.
    eventually(lambda: _serves_all(operator))
    place.api.call("DELETE", path)
    eventually(lambda: _serves_all_but(operator, tenant))
    sweeps = operator.metric("sweeps_total")
    eventually(lambda: _listed_twice_more(operator, sweeps))
    place.change(suspend=True)
    place.expect("Ready", "True", "Suspended")
    assert operator.process.poll() is None


def _serves_all(operator: Any) -> None:
    assert operator.get("/readyz") == (200, "ok\n")


def _serves_all_but(operator: Any, namespace: str) -> None:
    status, text = 0, "not listening"
    with contextlib.suppress(urllib.error.URLError):
        status, text = operator.get("/readyz")
    assert (status, text.partition("\n")[0]) == (200, "ok"), text
    assert f"not served: {namespace}: 403 Forbidden" in text
