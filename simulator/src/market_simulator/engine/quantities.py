"""Exact prices and sizes: integers inside, the exchange's decimal strings outside, never floats."""

from decimal import Decimal
from functools import lru_cache

_SCALE = 18  # meme coins have prices down to 1e-12, and a key has to hold every digit


@lru_cache(maxsize=65536)
def price_key(text: str) -> int:
    """An integer that orders decimal strings exactly: `price_key("30244") < price_key("30244.5")`.

    Raises:
        ValueError: The string is not a finite decimal number.
    """
    try:
        return int(Decimal(text).scaleb(_SCALE))
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"{text!r} is not a decimal number") from error


def decimal_text(units: int, decimals: int) -> str:
    """Format `units` × 10^-`decimals` as OKX does, without trailing zeros: `decimal_text(302440, 1) == "30244"`."""
    if decimals == 0:
        return str(units)
    whole, rest = divmod(units, 10**decimals)
    fraction = str(rest).rjust(decimals, "0").rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def fixed_text(units: int, decimals: int) -> str:
    """Format `units` × 10^-`decimals` with all decimals: `fixed_text(302440, 1) == "30244.0"`."""
    whole, rest = divmod(units, 10**decimals)
    return f"{whole}.{rest:0{decimals}}" if decimals else str(whole)


def plain(value: Decimal) -> str:
    """Format a decimal without exponent and trailing zeros."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def decimals_of(text: str) -> int:
    """Number of digits after the decimal point: `decimals_of("0.0011") == 4`."""
    return len(text.partition(".")[2])


def split_size(text: str, parts: int) -> tuple[str, ...]:
    """Split a size into `parts` positive sizes with exactly the same sum, the larger ones first.

    A recorded merged trade has its total and its number of fills, but not the sizes of the fills.
    """
    if parts <= 1:
        return (text,)
    decimals = decimals_of(text)
    units = int(Decimal(text).scaleb(decimals))
    while units < parts:
        units, decimals = units * 10, decimals + 1
    each, more = divmod(units, parts)
    return tuple(decimal_text(each + (1 if i < more else 0), decimals) for i in range(parts))
