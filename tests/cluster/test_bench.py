"""What the operator's benchmark compares it with does the same work."""

from typing import Any

from bench import bare, scale

from market_operator.resource.naming import Key


def test_bare_calls_leave_just_what_the_operator_would_have_made(
    api: Any, namespace: str, start: Any, eventually: Any
) -> None:
    name = api.create("mcol", namespace, scale.resource(namespace, 0))["metadata"]["name"]
    bare.write_all([Key(namespace, name)], {"observedGeneration": 1}, scale.SETTINGS)
    assert api.get("mcol", namespace, name)["status"]["observedGeneration"] == 1
    assert all(len(api.all(kind, namespace)) == 1 for kind in scale.CHILDREN)

    operator = start(*scale.AS_IN_CHART)

    def has_looked() -> None:
        assert operator.metric("status_updates_total") > 0

    eventually(has_looked)
    events = operator.metric('api_writes_total{action="create",kind="Event"')
    assert operator.metric("api_writes_total") == events, "what it tells is new, but no child is"
