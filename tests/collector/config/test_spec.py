"""Durations, sizes and defaults of the spec."""

import pytest

from market_collector.config.spec import ConnectionSpec, RotateSpec, Spec, duration_s, size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0.0), ("10ms", 0.01), ("30s", 30.0), ("1m30s", 90.0), ("1h1m1s1ms", 3661.001)]
)
def test_a_duration_is_the_sum_of_its_parts(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "size"), [("1Ki", 1024), ("256Mi", 268435456), ("2Gi", 2147483648)])
def test_a_size_is_in_powers_of_1024(text: str, size: int) -> None:
    assert size_bytes(text) == size


def test_symbols_are_the_same_whichever_way_they_are_given() -> None:
    one = Spec(exchange="okx", symbol="BTC-USDT", data_types=("trade",))
    many = Spec(exchange="okx", symbols=("BTC-USDT",), data_types=("trade",))
    assert one.all_symbols() == many.all_symbols() == ("BTC-USDT",)


def test_defaults_are_within_their_own_bounds() -> None:
    backoff = ConnectionSpec().backoff
    assert duration_s(backoff.initial) <= duration_s(backoff.max)
    assert size_bytes(RotateSpec().size) > 0
