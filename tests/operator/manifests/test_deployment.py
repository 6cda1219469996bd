from collections.abc import Callable

from market_operator.manifests.deployment import deployment
from market_operator.manifests.shard import Shard

CLAIM = {"name": "a", "type": "file", "file": {"directory": "/data", "claimName": "disk"}}


def test_a_new_pod_comes_before_the_old_one_goes(shard: Callable[..., Shard]) -> None:
    strategy = deployment(shard(), "config")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_with_a_claim_the_old_pod_goes_first(shard: Callable[..., Shard]) -> None:
    assert deployment(shard(sinks=[CLAIM]), "config")["spec"]["strategy"] == {"type": "Recreate"}


def test_a_suspended_shard_keeps_its_deployment_without_pods(shard: Callable[..., Shard]) -> None:
    assert deployment(shard(suspend=True), "config")["spec"]["replicas"] == 0


def test_the_selector_can_stay_for_ever(shard: Callable[..., Shard]) -> None:
    spec = deployment(shard(template={"labels": {"team": "a"}}), "config")["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert "team" not in spec["selector"]["matchLabels"]
