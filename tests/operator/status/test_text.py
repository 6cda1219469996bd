from market_operator.status.text import cut, number, some


def test_one_is_one_and_two_are_many() -> None:
    assert [number(count, "pod") for count in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]


def test_many_are_named_in_short() -> None:
    assert some("abcde") == "a, b, c, d, e"
    assert some("abcdefg") == "a, b, c, d, e and 2 more"


def test_long_texts_are_cut() -> None:
    assert cut("x" * 300) == "x" * 300
    assert (len(cut("x" * 301)), cut("x" * 301)[-3:]) == (300, "...")
