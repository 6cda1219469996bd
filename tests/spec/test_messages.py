import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_spec.messages import counted, escaped, escaped_lines, listed, path_text, shown


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


def test_escaped_text_cannot_steer_a_terminal() -> None:
    assert escaped("okx\x1b]0;PWN\x07 \u202e\n\x9b\ud800 █ ä") == r"okx\x1b]0;PWN\x07 \u202e\n\x9b\ud800 █ ä"
    assert escaped_lines("a\n\x1b") == "a\n\\x1b"


@given(st.text(st.characters()))
def test_escaped_text_is_one_line_that_can_be_written(text: str) -> None:
    assert escaped(text).isprintable()
    assert escaped(escaped(text)) == escaped(text).encode().decode()
