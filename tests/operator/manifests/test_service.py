from collections.abc import Callable

from market_operator.manifests.service import service
from market_operator.manifests.shard import Shard


def test_service_is_headless_and_publishes_unready_pods(shard: Callable[..., Shard]) -> None:
    spec = service(shard())["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert spec["ports"][0]["port"] == 8080


def test_service_selects_only_the_pods_of_its_shard(shard: Callable[..., Shard]) -> None:
    found = service(shard())["spec"]["selector"]
    assert found == {"marketcollector.dev/collector": "okx-btc", "marketcollector.dev/shard": "0"}
