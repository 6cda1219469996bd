from market_operator.cluster.kinds import CHILDREN, COLLECTORS, DEPLOYMENTS, PODS


def test_paths_are_those_of_the_api_server() -> None:
    assert COLLECTORS.path(None) == "/apis/marketcollector.dev/v1alpha1/marketcollectors"
    assert DEPLOYMENTS.path("md") == "/apis/apps/v1/namespaces/md/deployments"
    assert PODS.path("md", "a") == "/api/v1/namespaces/md/pods/a"


def test_managed_objects_are_found_by_their_kind() -> None:
    assert sorted(CHILDREN) == ["ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]
