from market_operator.status.text import listed, quantity, shortened


def test_one_is_one_and_two_are_many() -> None:
    assert [quantity(count, "pod") for count in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]


def test_many_are_named_in_short() -> None:
    assert listed("abcde") == "a, b, c, d, e"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"


def test_long_texts_are_cut() -> None:
    assert shortened("x" * 300) == "x" * 300
    assert (len(shortened("x" * 301)), shortened("x" * 301)[-3:]) == (300, "...")
