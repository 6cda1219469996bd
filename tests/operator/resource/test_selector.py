import pytest

from label_selectors import LABELS, REFUSED, SELECTED
from market_operator.resource.selector import EVERYTHING, read_selector


@pytest.mark.parametrize(("text", "selected"), SELECTED)
def test_a_selector_selects_as_kubernetes_does(text: str, selected: tuple[bool, ...]) -> None:
    selector = read_selector(text)
    assert tuple(map(selector.matches, LABELS)) == selected


@pytest.mark.parametrize(("text", "part"), REFUSED)
def test_what_kubernetes_would_not_understand_is_told_with_the_part_and_the_forms(text: str, part: str) -> None:
    with pytest.raises(ValueError, match="is no part of a label selector; write a=b, a!=b, a in") as refusal:
        read_selector(text)
    assert part in str(refusal.value)


def test_comparing_numbers_is_told_to_be_no_form_of_ours() -> None:
    with pytest.raises(ValueError, match="'team>1'"):
        read_selector("team>1")


def test_without_a_selector_everything_is_ours() -> None:
    assert read_selector("  ") == EVERYTHING
    assert EVERYTHING.matches({"a": "b"})
