from typing import Annotated

import pytest

from market_operator.resource.schema import Kube, Model, Words, section_schema
from market_spec.fields import Amount
from market_spec.kinds import Entries, Kind
from market_spec.section import Refused, Rule, Section


class Range(Section, frozen=True):
    """Two ends."""

    refused = (
        Refused("middle", "a range has two ends", "boolean"),
        Refused("edges", "no", "array"),
        Refused("name", "no", "string"),
        Refused("more", "no"),
    )
    rules = (Rule("self.low <= self.high", "low must not exceed high", lambda _: (), "low"),)
    low: Annotated[dict[str, Amount] | None, Entries(3), "The lower ends. Default none."] = None
    high: bool = False


def test_a_section_becomes_a_structural_schema() -> None:
    schema = section_schema(Range)
    assert (schema["type"], schema["description"]) == ("object", "Two ends.")
    assert schema["properties"]["high"] == {"type": "boolean", "description": "", "default": False}
    assert schema["properties"]["low"]["maxProperties"] == 3
    assert schema["properties"]["low"]["additionalProperties"]["x-kubernetes-int-or-string"] is True


def test_the_schema_carries_the_rules_for_the_api_server() -> None:
    rule, refusal, *_ = section_schema(Range)["x-kubernetes-validations"]
    assert rule == {"rule": "self.low <= self.high", "message": "low must not exceed high", "fieldPath": ".low"}
    assert refusal["rule"] == "!has(self.middle)"


@pytest.mark.parametrize(
    ("name", "kind"), [("more", "object"), ("edges", "array"), ("name", "string"), ("middle", "boolean")]
)
def test_a_refused_field_is_in_the_schema_with_its_type(name: str, kind: str) -> None:
    """Otherwise the API server would silently drop it."""
    schema = section_schema(Range)["properties"][name]
    assert (schema["type"], schema["description"].startswith("Refused: ")) == (kind, True)


def test_a_kind_without_a_schema_is_a_bug() -> None:
    class Strange(Section, frozen=True):
        field: Annotated[str, Kind()] = ""

    with pytest.raises(TypeError, match="has no schema"):
        section_schema(Strange)


class Count(Model):
    high: Annotated[int, Words(format="int32"), Kube(int_or_string=True)] = 0


def test_marks_add_keywords_to_the_schema() -> None:
    high = Count.model_json_schema()["properties"]["high"]
    assert high["format"] == "int32"
    assert high["x-kubernetes-int-or-string"] is True


def test_a_field_of_a_later_version_is_ignored() -> None:
    assert Count.model_validate({"high": 2, "later": 3}).high == 2
