import pytest

from market_operator.resource.durations import Between, seconds


@pytest.mark.parametrize(("text", "length"), [("500ms", 0.5), ("30s", 30), ("1m30s", 90), ("1h", 3600), ("0s", 0)])
def test_a_duration_is_read_in_seconds(text: str, length: float) -> None:
    assert seconds(text) == pytest.approx(length)


@pytest.mark.parametrize("text", ["", "30", "s", "1.5s", "-1s", "30 s", "1d"])
def test_what_is_no_duration_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="write numbers with ms, s, m or h"):
        seconds(text)


def test_bounds_belong_to_the_allowed_durations() -> None:
    bounds = Between("1s", "1m")
    assert bounds.check("1s") == "1s"
    assert bounds.check("60s") == "60s"


@pytest.mark.parametrize("text", ["999ms", "61s", "1m1ms", "00000000000000030s"])
def test_a_duration_out_of_bounds_is_told_the_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration between 1s and 1m"):
        Between("1s", "1m").check(text)
