"""Requests and limits: what the spec names, and defaults that fit it."""

from collections.abc import Callable
from typing import Any

import pytest

from market_operator.manifests.resources import container_resources
from market_operator.manifests.shard import Shard

DEFAULT = {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "128Mi"}}


REQUESTS, LIMITS = DEFAULT["requests"], DEFAULT["limits"]


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        ({"memory": "40Mi"}, REQUESTS | {"memory": "40Mi"}, {"memory": "40Mi"}),
        ({"memory": "64Mi"}, REQUESTS, {"memory": "64Mi"}),
        ({"cpu": "500m"}, REQUESTS, LIMITS | {"cpu": "500m"}),
        ({"cpu": "10m"}, REQUESTS | {"cpu": "10m"}, LIMITS | {"cpu": "10m"}),
        ({"cpu": 1, "memory": 41_943_040}, REQUESTS | {"memory": 41_943_040}, {"cpu": 1, "memory": 41_943_040}),
        ({}, REQUESTS, {}),
    ],
)
def test_requests_follow_given_limits(
    shard: Callable[..., Shard], given: dict[str, Any], requests: dict[str, Any], limits: dict[str, Any]
) -> None:
    found = container_resources(shard(template={"resources": {"limits": given}}))
    assert found == {"requests": requests, "limits": limits}


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({"memory": "256Mi"}, {"memory": "256Mi"}),
        ({"memory": "64Mi"}, LIMITS),
        ({"cpu": "1"}, LIMITS),
        ({}, LIMITS),
    ],
)
def test_limits_follow_given_requests(
    shard: Callable[..., Shard], given: dict[str, Any], limits: dict[str, Any]
) -> None:
    found = container_resources(shard(template={"resources": {"requests": given}}))
    assert found == {"requests": given, "limits": limits}


def test_nothing_given_takes_the_defaults(shard: Callable[..., Shard]) -> None:
    assert container_resources(shard()) == container_resources(shard(template={"resources": {}})) == DEFAULT


def test_contradicting_amounts_are_left_to_the_api_server(shard: Callable[..., Shard]) -> None:
    given = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
    found = container_resources(shard(template={"resources": given}))
    assert (found["requests"]["memory"], found["limits"]["memory"]) == ("2Gi", "1Gi")


def test_an_empty_map_means_none(shard: Callable[..., Shard]) -> None:
    given: dict[str, Any] = {"requests": {}, "limits": {}}
    assert container_resources(shard(template={"resources": given})) == given


def of_symbols(shard: Callable[..., Shard], count: int, **spec: Any) -> Any:
    types = ["trade", "orderbook", "ticker", "candle"]
    return container_resources(shard(symbols=[f"S{n}-USDT" for n in range(count)], dataTypes=types, **spec))


def test_few_streams_keep_the_default_of_earlier_releases(shard: Callable[..., Shard]) -> None:
    """Other amounts would restart their pods at an upgrade."""
    assert of_symbols(shard, 1) == of_symbols(shard, 64) == DEFAULT


def test_default_memory_grows_with_the_streams_of_the_shard(shard: Callable[..., Shard]) -> None:
    assert of_symbols(shard, 65)["limits"] == {"memory": "144Mi"}
    assert of_symbols(shard, 500) == {"requests": {"cpu": "20m", "memory": "104Mi"}, "limits": {"memory": "240Mi"}}
    intervals = {"candle": {"intervals": ["1m", "5m", "1h"]}}
    assert of_symbols(shard, 64, **intervals)["limits"] == {"memory": "144Mi"}


def test_the_symbols_of_other_shards_do_not_count(shard: Callable[..., Shard]) -> None:
    whole = shard(symbols=[f"S{n}-USDT" for n in range(500)], shards=10)
    part = Shard(whole.resource, whole.spec, 1, whole.symbols[:50], whole.image)
    assert container_resources(part) == DEFAULT
    assert container_resources(whole) != DEFAULT
