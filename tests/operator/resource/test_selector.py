import pytest

from label_selectors import LABELS, REFUSED, SELECTED
from market_operator.resource.selector import EVERYTHING, read_selector


@pytest.mark.parametrize(("text", "selected"), SELECTED)
def test_a_selector_selects_as_kubernetes_does(text: str, selected: tuple[bool, ...]) -> None:
    selector = read_selector(text)
    assert tuple(map(selector.matches, LABELS)) == selected


@pytest.mark.parametrize(("text", "part"), REFUSED)
def test_an_invalid_requirement_is_refused_with_the_forms(text: str, part: str) -> None:
    with pytest.raises(ValueError, match="is not a label requirement: must be a=b, a!=b, a in") as refusal:
        read_selector(text)
    assert part in str(refusal.value)


def test_a_comparison_of_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="'team>1'"):
        read_selector("team>1")


def test_an_empty_selector_matches_everything() -> None:
    assert read_selector("  ") == EVERYTHING
    assert EVERYTHING.matches({"a": "b"})
