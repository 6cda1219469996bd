from collections.abc import Callable

from market_operator.manifests.deployment import deployment
from market_operator.manifests.shard import Shard

CLAIM = {"name": "a", "type": "file", "file": {"directory": "/data", "claimName": "disk"}}


def test_new_pod_starts_before_the_old_one_stops(shard: Callable[..., Shard]) -> None:
    strategy = deployment(shard(), "config")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_old_pod_stops_first_when_it_mounts_a_claim(shard: Callable[..., Shard]) -> None:
    assert deployment(shard(sinks=[CLAIM]), "config")["spec"]["strategy"] == {"type": "Recreate"}


def test_a_suspended_shard_keeps_its_deployment_without_pods(shard: Callable[..., Shard]) -> None:
    assert deployment(shard(suspend=True), "config")["spec"]["replicas"] == 0


def test_selector_depends_on_nothing_that_a_user_can_change(shard: Callable[..., Shard]) -> None:
    spec = deployment(shard(template={"labels": {"team": "a"}}), "config")["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert "team" not in spec["selector"]["matchLabels"]
