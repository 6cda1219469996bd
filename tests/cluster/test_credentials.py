"""Secrets: the operator may not read them, pods mount only the named one, and its values appear nowhere."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chart_account import Account, chart_account, refusals

Start = Callable[..., Any]
CANARY = "canary-that-sings-in-logs"
ACCOUNT = {"dataTypes": ["trade", "balance"], "credentials": {"secretName": "okx-key"}}


@pytest.fixture(params=[pytest.param("all namespaces", marks=pytest.mark.alone), "one namespace"])
def account(request: pytest.FixtureRequest, api: Any, namespace: str, tmp_path: Path) -> Iterator[Account]:
    """The chart's service account, for either scope, in a namespace of its own."""
    home = f"{namespace}-home"
    api.call("POST", "api/v1/namespaces", {"metadata": {"name": home}})
    granted = chart_account(home, tmp_path, *([f'namespaces=["{namespace}"]'] if request.param[:3] == "one" else []))
    yield granted
    granted.remove()
    api.call("DELETE", f"api/v1/namespaces/{home}")


def can(account: Account, verb: str, namespace: str) -> bool:
    """Ask the API server about a right on secrets."""
    command = ["kubectl", "auth", "can-i", verb, "secrets", "-n", namespace]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | account.environment)
    assert asked.stdout.strip() in ("yes", "no"), asked.stderr
    return asked.stdout.strip() == "yes"


def put_secrets(place: Any) -> None:
    for name in ("okx-key", "another"):
        secret = {
            "metadata": {"name": name},
            "stringData": dict.fromkeys(("apiKey", "secretKey", "passphrase"), CANARY),
        }
        place.api.call("POST", f"api/v1/namespaces/{place.namespace}/secrets", secret)


def streams(**account: str) -> list[dict[str, str]]:
    return [{"stream": "BTC-USDT/trade", "state": "live"}, {"stream": "account/balance", **account}]


def test_chart_role_has_no_rule_on_secrets(account: Account, namespace: str) -> None:
    rules = [rule for each in account.objects for rule in each.get("rules", ())]
    assert rules
    assert not [rule for rule in rules if {"secrets", "*"} & {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}]
    assert not [
        verb for verb in ("get", "list", "watch", "create", "update", "delete") if can(account, verb, namespace)
    ]


def test_only_the_named_secret_is_mounted_and_its_values_appear_nowhere(
    account: Account, place: Any, kubelet: Any, start: Start
) -> None:
    put_secrets(place)
    operator = start(*account.arguments, environment=account.environment, everywhere=True)
    place.create(symbols=["A-B", "C-D"], shards=2, **ACCOUNT)
    kubelet.run_all(2)
    pods = kubelet.living()
    mounted = {
        pod["metadata"]["labels"]["marketcollector.dev/shard"]: [
            volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume
        ]
        for pod in pods
    }
    assert mounted == {"0": ["okx-key"], "1": []}
    assert not [pod for pod in pods if pod["spec"]["automountServiceAccountToken"]]
    everything = [
        place.api.all(kind, place.namespace) for kind in ("mcol", "deployments", "services", "configmaps", "pods")
    ]
    events = place.api.call("GET", f"api/v1/namespaces/{place.namespace}/events")
    assert operator.stop() == 0
    output = json.dumps([everything, events]) + operator.log.read_text()
    assert "okx-key" in output
    assert CANARY not in output
    assert refusals(operator.log.read_text()) == [], "the operator does not even try to read one"


def test_resource_recovers_when_a_missing_key_is_created(place: Any, kubelet: Any, start: Start) -> None:
    start()
    place.create(**ACCOUNT)
    words = "Secret okx-key: no apiKey, secretKey, passphrase in /etc/market-collector-credentials"
    missing = {"state": "refused", "reason": "CredentialsMissing", "message": words}
    [pod] = kubelet.run_all(1, streams=streams(**missing))
    assert words in place.expect("Accepted", "False", "CredentialsMissing")
    place.expect("Stalled", "True", "CredentialsMissing")
    assert place.status()["streams"]["summary"] == "1/2"
    pod.report |= {"streams": streams(state="live")}
    place.expect("Ready", "True", "Ready")
    assert place.status()["streams"]["summary"] == "2/2"
