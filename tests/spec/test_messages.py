import pytest

from market_spec.messages import counted, listed, path_text, shown


@pytest.mark.parametrize(("count", "text"), [(0, "0 pods"), (1, "1 pod"), (2, "2 pods")])
def test_counted_uses_the_plural_unless_there_is_one(count: int, text: str) -> None:
    assert counted(count, "pod") == text


@pytest.mark.parametrize(("values", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")])
def test_listed_joins_values_with_a_conjunction(values: list[str], text: str) -> None:
    assert listed(values) == text


def test_path_text_shows_fields_and_items() -> None:
    assert path_text(("spec", "dataTypes", 1)) == "spec.dataTypes[1]"


def test_shown_cuts_long_values() -> None:
    assert shown("x") == '"x"'
    assert (len(shown("x" * 100)), shown("x" * 100)[-3:]) == (60, "...")
