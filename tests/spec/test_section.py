"""Sections: unknown, required and refused fields, rules, and the way back to a document."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import pytest

from market_spec.kinds import Entries, Findings, Flag, Items, Number, OneOf, Unchecked
from market_spec.messages import path_text
from market_spec.section import Block, Refused, Rule, Section, Violation, fields_of, kind_of, plain


def is_ordered(section: Any) -> Iterator[Violation]:
    if section.lowest_price > section.highest_price:
        yield Violation(("lowestPrice",), f"lowestPrice is {section.lowest_price}")


class Inner(Section, frozen=True):
    """A section inside another."""

    color: Annotated[str, OneOf(("red", "green")), "The color."] = "red"


class Outer(Section, frozen=True):
    """A section with every rule."""

    lowest_price: Annotated[int, Number(0, 9), "The lowest price."]
    highest_price: Annotated[int, Number(0, 9), "The highest price."] = 9
    inner: Annotated[Inner | None, "The inner section."] = None
    parts: Annotated[tuple[Inner, ...], Items(0, 2), "Parts."] = ()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.lowestPrice <= self.highestPrice", "lowestPrice must not exceed highestPrice", is_ordered),
        Rule("self.lowestPrice == oldSelf.lowestPrice", "lowestPrice is fixed", None),
    )
    refused: ClassVar[tuple[Refused, ...]] = (Refused("hostPath", "it would reach the node"),)


class Open(Section, frozen=True):
    """A section with fields that only the API server knows."""

    allows_unknown: ClassVar[bool] = True


def faults(given: Any, section: type[Section] = Outer, *, allow_unknown: bool = False) -> list[tuple[str, str]]:
    findings = Findings(allow_unknown=allow_unknown)
    found = Block(section).read(given, ("s",), findings)
    assert (found is None) == bool(findings.faults)
    return [(path_text(path), text) for path, text in findings.faults]


def test_section_is_read_with_its_defaults() -> None:
    found = Block(Outer).read({"lowestPrice": 1, "inner": {}}, (), Findings())
    assert found == Outer(lowest_price=1, highest_price=9, inner=Inner(color="red"), parts=())


ALLOWED = "Allowed: lowestPrice, highestPrice, inner, parts"


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ({"lowestPrise": 1}, "s.lowestPrise", f"unknown field. Did you mean lowestPrice? {ALLOWED}"),
        ({"LOWESTPRICE": 1}, "s.LOWESTPRICE", f"unknown field. Did you mean lowestPrice? {ALLOWED}"),
        ({"zzz": 1}, "s.zzz", f"unknown field. {ALLOWED}"),
        ({"inner": {"colour": "red"}}, "s.inner.colour", "unknown field. Did you mean color? Allowed: color"),
        ({"parts": [{}, {"hue": 1}]}, "s.parts[1].hue", "unknown field. Allowed: color"),
    ],
)
def test_unknown_field_is_refused_with_the_nearest(given: dict[str, Any], where: str, message: str) -> None:
    assert faults({"lowestPrice": 1, **given}) == [(where, message)]
    assert faults({"lowestPrice": 1, **given}, allow_unknown=True) == []


def test_unknown_field_is_ignored_in_an_open_section() -> None:
    assert faults({"anything": 1}, Open) == []


@pytest.mark.parametrize("given", [{}, {"lowestPrice": None}])
def test_missing_or_null_required_field_is_a_fault(given: dict[str, Any]) -> None:
    assert faults(given) == [("s.lowestPrice", "is required")]


def test_refused_field_has_its_reason_even_when_unknown_are_ignored() -> None:
    expected = [("s.hostPath", "hostPath is refused: it would reach the node")]
    assert faults({"lowestPrice": 1, "hostPath": {}}) == expected
    assert faults({"lowestPrice": 1, "hostPath": {}}, allow_unknown=True) == expected


def test_broken_rule_names_the_place_and_the_given_values() -> None:
    expected = [("s.lowestPrice", "lowestPrice must not exceed highestPrice (lowestPrice is 5)")]
    assert faults({"lowestPrice": 5, "highestPrice": 3}) == expected


def test_rule_is_not_checked_when_a_field_it_reads_has_a_fault() -> None:
    assert [where for where, _ in faults({"lowestPrice": 5, "highestPrice": -1})] == ["s.highestPrice"]


def test_section_that_is_no_mapping_is_refused() -> None:
    assert faults([]) == [("s", "must be a mapping (field: value), not a list")]


def test_fields_have_the_name_kind_and_description_of_the_annotation() -> None:
    field = fields_of(Outer)["lowestPrice"]
    assert (field.attribute, field.kind, field.is_required) == ("lowest_price", Number(0, 9), True)
    assert (field.description, fields_of(Outer)["highestPrice"].default) == ("The lowest price.", 9)


def test_kind_follows_from_the_annotation() -> None:
    assert kind_of(bool) == Flag()
    assert kind_of(Inner | None) == Block(Inner)
    assert kind_of(dict[str, Any]) == Unchecked()
    assert kind_of(Annotated[tuple[Inner, ...], Items(1, 2)]) == Items(1, 2, item=Block(Inner))
    assert kind_of(Annotated[dict[str, bool], Entries(3)]) == Entries(3, value=Flag())


def test_plain_section_is_a_document_without_null() -> None:
    section = Outer(lowest_price=1, parts=(Inner("green"),))
    document = {"lowestPrice": 1, "highestPrice": 9, "parts": [{"color": "green"}]}
    assert plain(section) == document
    assert Block(Outer).read(document, (), Findings()) == section


def test_plain_section_omits_defaults_on_request() -> None:
    assert plain(Outer(lowest_price=9, inner=Inner()), with_defaults=False) == {"lowestPrice": 9, "inner": {}}
