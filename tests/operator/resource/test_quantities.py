import pytest

from market_operator.resource.quantities import amount


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.5", "500m"),
        (1, "1000m"),
        ("1Gi", "1024Mi"),
        ("1e3", "1k"),
        ("1.5Gi", "1536Mi"),
        ("100E", "1e20"),
        (".5", "500m"),
    ],
)
def test_two_ways_to_write_one_amount_are_equal(one: object, other: object) -> None:
    assert amount(one) == amount(other)


@pytest.mark.parametrize(("one", "other"), [("1G", "1Gi"), ("1m", "1M"), ("1", "2")])
def test_different_amounts_differ(one: str, other: str) -> None:
    assert amount(one) != amount(other)


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1gb", None])
def test_invalid_quantity_has_no_amount(text: object) -> None:
    assert amount(text) is None
