from typing import Annotated

import pytest
from pydantic import ValidationError

from market_operator.resource.schema import Kube, Refused, Rule, Section, Words


class Range(Section):
    refused = (Refused("middle", "a range has two ends", "boolean"),)
    rules = (Rule("self.low <= self.high", "low must not exceed high", lambda self: self.low <= self.high, "low"),)
    low: int = 0
    high: Annotated[int, Words(format="int32"), Kube(int_or_string=True)] = 0


def test_a_broken_rule_is_told_in_its_own_words() -> None:
    with pytest.raises(ValidationError, match="low must not exceed high"):
        Range(low=2, high=1)


def test_a_kept_rule_lets_the_section_be() -> None:
    assert Range(low=1, high=2).low == 1


def test_the_schema_carries_the_rule_for_the_api_server() -> None:
    ours, refusal = Range.model_json_schema()["x-kubernetes-validations"]
    assert ours == {"rule": "self.low <= self.high", "message": "low must not exceed high", "fieldPath": ".low"}
    assert refusal["rule"] == "!has(self.middle)"


def test_a_refused_field_is_known_to_the_schema_so_that_it_is_not_dropped_in_silence() -> None:
    assert Range.model_json_schema()["properties"]["middle"]["type"] == "boolean"
    with pytest.raises(ValidationError, match="middle is refused: a range has two ends"):
        Range.model_validate({"low": 1, "middle": True})


@pytest.mark.parametrize("kind", ["object", "array", "string", "boolean"])
def test_a_refused_field_of_any_type_takes_what_a_pod_would_have_there(kind: str) -> None:
    schema = Refused("x", "no", kind).schema()
    assert (schema["type"], schema["description"]) == (kind, "Refused: no.")


def test_marks_add_words_to_the_schema() -> None:
    high = Range.model_json_schema()["properties"]["high"]
    assert high["format"] == "int32"
    assert high["x-kubernetes-int-or-string"] is True


def test_a_field_of_a_later_version_is_left_alone() -> None:
    assert Range.model_validate({"low": 1, "high": 2, "later": 3}).high == 2
