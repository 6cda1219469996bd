"""The API client: its requests, and the errors that it raises for refusals."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration

from market_operator.cluster.access import scopes
from market_operator.cluster.actions import Apply, Delete
from market_operator.cluster.client import Cluster
from market_operator.cluster.kinds import CONFIGMAPS
from market_operator.errors import ApiError, StartError
from market_operator.resource.document import read_resource
from market_operator.resource.naming import Key


@pytest.fixture
async def cluster(kubeconfig: str, api: Any) -> AsyncIterator[Cluster]:
    made = await Cluster.connect()
    yield made
    await made.close()


def config(namespace: str, name: str = "a", **data: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "market-operator", "marketcollector.dev/collector": "okx-btc"}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


async def test_a_resource_that_does_not_exist_is_none(cluster: Cluster, namespace: str) -> None:
    assert await cluster.read(Key(namespace, "nothing")) is None


async def test_an_object_is_applied_listed_and_deleted(cluster: Cluster, namespace: str) -> None:
    made = await cluster.run(Apply(config(namespace, x="1"), is_new=True))
    assert made
    assert made["metadata"]["managedFields"][0]["manager"] == "market-operator"
    pages = [page async for page in cluster.list_managed(CONFIGMAPS, namespace)]
    [item] = [item for page in pages for item in page.items]
    assert item.head["metadata"]["name"] == item.document()["metadata"]["name"] == "a"
    assert (item.document()["data"], "data" in item.head) == ({"x": "1"}, False)
    assert pages[0].version >= int(made["metadata"]["resourceVersion"])
    await cluster.run(Delete("ConfigMap", "a", namespace, made["metadata"]["uid"]))
    await cluster.run(Delete("ConfigMap", "a", namespace, made["metadata"]["uid"]))
    assert [page.items async for page in cluster.list_managed(CONFIGMAPS, namespace)] == [[]]


async def test_the_same_write_again_changes_nothing(cluster: Cluster, namespace: str) -> None:
    versions = [await cluster.run(Apply(config(namespace, x="1"), is_new=False)) for _ in range(2)]
    assert len({made["metadata"]["resourceVersion"] for made in versions if made}) == 1


@pytest.mark.parametrize("text", ["😀", "ä€", "\x7f\x85\x9f\ufeff\ufffe\uffff", "\\ud83d\\ude00", 'a: "b" # {\n\t}'])
async def test_any_text_is_applied_as_it_is(cluster: Cluster, namespace: str, text: str) -> None:
    made = await cluster.run(Apply(config(namespace, x=text), is_new=True))
    assert made
    assert made["data"] == {"x": text}


async def test_new_object_takes_no_fields_of_others(cluster: Cluster, namespace: str, api: Any) -> None:
    api.create("configmaps", namespace, {"metadata": {"name": "a"}, "data": {"x": "theirs"}})
    with pytest.raises(ApiError) as refusal:
        await cluster.run(Apply(config(namespace, x="1"), is_new=True))
    assert refusal.value.is_conflict


async def test_a_write_into_a_namespace_that_is_gone_is_recognized(cluster: Cluster) -> None:
    with pytest.raises(ApiError) as refusal:
        await cluster.run(Apply(config("op-test-never-made"), is_new=True))
    assert refusal.value.is_namespace_gone


async def test_a_successor_of_the_same_name_is_not_deleted(cluster: Cluster, namespace: str, api: Any) -> None:
    await cluster.run(Apply(config(namespace), is_new=True))
    with pytest.raises(ApiError) as refusal:
        await cluster.run(Delete("ConfigMap", "a", namespace, "another-uid"))
    assert refusal.value.is_conflict
    assert api.names("configmaps", namespace) == {"a"}


async def test_status_write_conflicts_when_the_resource_has_changed(
    cluster: Cluster, namespace: str, place: Any
) -> None:
    place.create()
    found = await cluster.read(Key(namespace, "okx-btc"))
    assert found
    place.change(logLevel="debug")
    with pytest.raises(ApiError) as refusal:
        await cluster.write_status(read_resource(found), {"health": "Healthy"})
    assert refusal.value.is_conflict


async def test_keys_are_listed_without_specs(cluster: Cluster, namespace: str, place: Any) -> None:
    place.create()
    [item] = [item async for page in cluster.keys(namespace) for item in page.items]
    assert item.head["metadata"]["name"] == "okx-btc"
    assert "spec" not in item.document()


async def test_unreachable_server_is_an_error_without_a_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    nowhere = tmp_path / "config"
    nowhere.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(nowhere))
    cluster = await Cluster.connect()
    with pytest.raises(ApiError) as refusal:
        await cluster.read(Key("a", "b"))
    assert refusal.value.status == 0
    await cluster.close()


async def test_missing_kubeconfig_is_an_error_that_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(StartError, match="run in a pod, or set KUBECONFIG"):
        await Cluster.connect()


def test_no_namespace_means_one_scope_for_all() -> None:
    assert scopes(()) == (None,)
    assert scopes(("a", "b")) == ("a", "b")


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "10.0.0.1"}, None),
        ({"http_proxy": "http://proxy:3128"}, None),
    ],
)
async def test_proxy_of_the_environment_is_used(
    environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "http_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cluster = Cluster(Configuration(host="https://10.0.0.1:6443"), None)
    assert (await cluster.access()).proxy_url == proxy
    await cluster.close()
