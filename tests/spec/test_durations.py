import pytest

from market_spec.durations import seconds, size_bytes


@pytest.mark.parametrize(("text", "length"), [("500ms", 0.5), ("30s", 30), ("1m30s", 90), ("1h", 3600), ("0s", 0)])
def test_a_duration_is_read_in_seconds(text: str, length: float) -> None:
    assert seconds(text) == pytest.approx(length)


@pytest.mark.parametrize("text", ["", "30", "s", "1.5s", "-1s", "30 s", "1d", "1s\n"])
def test_another_form_of_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write numbers with ms, s, m or h"):
        seconds(text)


@pytest.mark.parametrize(("text", "size"), [("1Ki", 1024), ("256Mi", 268435456), ("2Gi", 2147483648)])
def test_a_size_is_in_powers_of_1024(text: str, size: int) -> None:
    assert size_bytes(text) == size
