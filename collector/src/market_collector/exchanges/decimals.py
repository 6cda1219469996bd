"""Numbers in the text of exchanges: which are plain decimals, and the limits of times and ids.

Prices and amounts stay text from the frame to the record, so that they are exact. Records have only finite, plain,
non-negative decimals (docs/decisions/0025-numbers-are-checked-before-they-are-published.md).
"""

import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from market_collector.model.streams import LARGEST_ID

DECIMAL = r"[0-9]{1,40}+(?:\.[0-9]{1,40}+)?+"
"""Pattern of a plain decimal: digits with at most one dot between them; no sign and no exponent."""

Id = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]
"""A trade id or a sequence. A larger one would make the checkpoint of all streams unreadable."""
EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000
"""The years 2000 to 2100."""
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]
"""A time since 1970."""
ClockMilliseconds = Annotated[int, msgspec.Meta(ge=EARLIEST_MS, le=LATEST_MS)]
"""The present time of an exchange: logins are signed with it, and clocks are compared with it."""

is_decimal = re.compile(DECIMAL).fullmatch


def product(one: str, other: str) -> str:
    """The product of two plain decimals, exact."""
    if other == "1":
        return one
    from decimal import Context, Decimal  # a module that few collectors need

    return f"{Context(prec=160).multiply(Decimal(one), Decimal(other)):f}"


def check_decimals(texts: Iterable[str | None]) -> None:
    """Check every text; None stands for an absent number.

    Raises:
        ValueError: a text is no plain decimal.
    """
    for text in texts:
        if text is not None and not is_decimal(text):
            raise ValueError(f"{text[:60]!r} is not a plain decimal")


def integer_of(text: str, largest: int) -> int:
    """Read an integer in text, such as a time.

    Raises:
        ValueError: the text has other characters than digits, or the number is too large.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= largest):
        raise ValueError(f"{text[:40]!r} is not an integer up to {largest}")
    return int(text)


def check_signed_decimals(texts: Iterable[str | None]) -> None:
    """Like `check_decimals`, for numbers that may be negative.

    Raises:
        ValueError: a text is no plain decimal.
    """
    check_decimals(None if text is None else text.removeprefix("-") for text in texts)
