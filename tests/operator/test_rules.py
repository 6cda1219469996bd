from typing import Annotated

import pytest
from pydantic import ValidationError

from market_operator.rules import Kube, Rule, Section, Words


class Range(Section):
    rules = (Rule("self.low <= self.high", "low must not exceed high", lambda self: self.low <= self.high, "low"),)
    low: int = 0
    high: Annotated[int, Words(format="int32"), Kube(int_or_string=True)] = 0


def test_a_broken_rule_is_told_in_its_own_words() -> None:
    with pytest.raises(ValidationError, match="low must not exceed high"):
        Range(low=2, high=1)


def test_a_kept_rule_lets_the_section_be() -> None:
    assert Range(low=1, high=2).low == 1


def test_the_schema_carries_the_rule_for_the_api_server() -> None:
    expected = [{"rule": "self.low <= self.high", "message": "low must not exceed high", "fieldPath": ".low"}]
    assert Range.model_json_schema()["x-kubernetes-validations"] == expected


def test_marks_add_words_to_the_schema() -> None:
    high = Range.model_json_schema()["properties"]["high"]
    assert high["format"] == "int32"
    assert high["x-kubernetes-int-or-string"] is True


def test_a_field_of_a_later_version_is_left_alone() -> None:
    assert Range.model_validate({"low": 1, "high": 2, "later": 3}).high == 2
