import pytest

from market_operator.resource.fields import is_below


@pytest.mark.parametrize(
    ("directory", "answer"), [("/data", True), ("/data/a", True), ("/database", False), ("/", False)]
)
def test_a_directory_is_below_itself_and_what_holds_it(directory: str, answer: bool) -> None:
    assert is_below(directory, "/data") is answer
