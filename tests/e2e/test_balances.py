"""Balances on a real node: the kubelet mounts the Secret, and the collector logs in with it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from e2e_places import Place, condition, market_collector
from kube import ROOT, Document, eventually

pytestmark = pytest.mark.e2e

SECRET: Document = yaml.safe_load((ROOT / "crds" / "samples" / "secrets" / "okx-key.yaml").read_text())
PLAIN_LOGIN = {
    "backoff": {"initial": "100ms", "max": "1s"},
    "endpoint": {"websocket": "ws://simulator:8443", "rest": "http://simulator:8443", "allowPlainLogin": True},
}
BALANCES: dict[str, Any] = {
    "dataTypes": ["trade", "balance"],
    "credentials": {"secretName": "okx-key"},
    "connection": PLAIN_LOGIN,
}


def test_resource_with_balances_is_ready_and_records_them(place: Place) -> None:
    place.apply(SECRET, market_collector(**BALANCES))
    assert place.wait_ready()["status"]["streams"]["summary"] == "2/2"
    pod = place.pod()["metadata"]["name"]

    def all_assets() -> bool:
        log = place.kubectl("logs", pod)
        return all(f'"asset":"{asset}"' in log for asset in ("BTC", "ETH", "USDT"))

    eventually(all_assets, what="a balance of each asset in kubectl logs")
    output = place.kubectl("logs", pod) + place.kubectl("get", "marketcollectors,configmaps,pods,events", "-o", "yaml")
    assert not [value for value in SECRET["stringData"].values() if value in output]


def test_missing_secret_is_reported_and_used_once_it_is_created(place: Place) -> None:
    place.apply(market_collector(**BALANCES))
    accepted = place.wait_condition("Accepted", "False")
    assert accepted.reason == "CredentialsMissing"
    assert "Secret okx-key: no apiKey, secretKey, passphrase" in accepted.message
    uid = place.pod()["metadata"]["uid"]
    place.apply(SECRET)
    ready = place.wait_ready()  # the kubelet mounts a Secret that was created later at its next sync
    assert place.pod()["metadata"]["uid"] == uid, "the pod was not replaced"
    assert condition(ready, "Accepted").status == "True"


def test_refused_key_is_reported(place: Place) -> None:
    wrong = SECRET | {"stringData": SECRET["stringData"] | {"passphrase": "wrong"}}
    place.apply(wrong, market_collector(**BALANCES))
    accepted = place.wait_condition("Accepted", "False")
    assert accepted.reason == "CredentialsRefused"
    assert "60024" in accepted.message
