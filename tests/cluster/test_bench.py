"""The baseline of the operator's benchmark does the same work as the operator."""

from typing import Any

from bench import bare, scale

from market_operator.resource.naming import Key


def test_bare_calls_create_the_same_objects_as_the_operator(
    api: Any, namespace: str, start: Any, eventually: Any
) -> None:
    name = api.create("mcol", namespace, scale.resource(namespace, 0))["metadata"]["name"]
    bare.write_all([Key(namespace, name)], {"observedGeneration": 1}, scale.SETTINGS)
    assert api.get("mcol", namespace, name)["status"]["observedGeneration"] == 1
    assert all(len(api.all(kind, namespace)) == 1 for kind in scale.CHILDREN)

    operator = start(*scale.AS_IN_CHART)

    def is_reconciled() -> None:
        assert operator.metric("status_updates_total") > 0

    eventually(is_reconciled)
    events = operator.metric('api_writes_total{action="create",kind="Event"')
    assert operator.metric("api_writes_total") == events, "the operator writes only Events, no managed object"
