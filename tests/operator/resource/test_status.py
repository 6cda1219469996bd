from market_operator.resource.status import PENDING, Status
from market_operator.status.conditions import conditions
from market_operator.status.snapshot import Snapshot


def test_the_default_status_is_valid_and_not_ready() -> None:
    status = Status.model_validate(PENDING)
    assert status.observed_generation == -1
    assert [(each.type, each.status) for each in status.conditions] == [("Ready", "Unknown")]


def test_default_condition_is_one_that_the_operator_overwrites() -> None:
    snapshot = Snapshot(None, "", {}, (), {}, (), {}, 0.0)
    assert {each["type"] for each in PENDING["conditions"]} <= set(conditions(snapshot))  # type: ignore[attr-defined]
