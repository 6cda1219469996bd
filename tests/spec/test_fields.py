import pytest

from market_spec.fields import is_below


@pytest.mark.parametrize(
    ("directory", "answer"), [("/data", True), ("/data/a", True), ("/database", False), ("/", False)]
)
def test_a_directory_is_below_itself_and_its_parents(directory: str, answer: bool) -> None:
    assert is_below(directory, "/data") is answer
