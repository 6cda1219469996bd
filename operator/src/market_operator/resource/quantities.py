"""Amounts of CPU and memory as Kubernetes writes them: 500m, 128Mi, 1e3."""

import re
from fractions import Fraction
from functools import lru_cache

_BINARY: dict[str, int] = {f"{prefix}i": 1024**power for power, prefix in enumerate("KMGTPE", 1)}
_DECIMAL = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_LONGEST_KEPT = 40
"""Characters of a quantity whose amount is kept: resources repeat the same few (parsing one takes 4 us)."""
_FORM = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?[0-9]{1,2}))")


def amount(quantity: object) -> Fraction | None:
    """The exact value of `quantity`, or None if it is not a quantity.

    The API server rewrites quantities (0.5 becomes 500m), so equal amounts must compare as equal.
    """
    text = str(quantity)
    return _kept(text) if len(text) <= _LONGEST_KEPT else _parsed(text)


def _parsed(text: str) -> Fraction | None:
    match = _FORM.fullmatch(text)
    if not match:
        return None
    number, binary, decimal, exponent = match.groups()
    if binary:
        return Fraction(number) * _BINARY[binary]
    if exponent:
        return Fraction(f"{number}e{exponent}")
    return Fraction(number) * Fraction(f"1e{3 * _DECIMAL[decimal or '']}")


_kept = lru_cache(maxsize=512)(_parsed)
