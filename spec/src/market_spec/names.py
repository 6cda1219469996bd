"""Canonical names of instruments, the same on every exchange.

==================  ===========================================
spot                ``BTC-USDT``
perpetual           ``BTC-USDT-PERP``
dated future        ``BTC-USDT-270326``, with the day of expiry
settled otherwise   ``BTC-USD-PERP-BTC``, ``BTC-USD-270326-BTC``
==================  ===========================================

The asset that settles a contract is named only if it is not the quote.
"""

import re
from functools import lru_cache

import msgspec

SPOT, PERPETUAL, FUTURE = KINDS = ("spot", "perpetual", "future")
PERP = "PERP"
_ASSET = "[A-Z0-9]+"
_DAY = "[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
PATTERN = f"^{_ASSET}-{_ASSET}(-({PERP}|{_DAY})(-{_ASSET})?)?$"
"""Pattern of all canonical names; `Capabilities` has further rules per exchange."""
MAX_LENGTH = 40
is_canonical = re.compile(PATTERN).fullmatch


class Name(msgspec.Struct, frozen=True):
    """The parts of a canonical name; ``str`` returns the name."""

    base: str
    quote: str
    kind: str = SPOT
    """One of `KINDS`."""
    expiry: str = ""
    """Day of a dated future, YYMMDD in UTC."""
    settlement: str = ""
    """Asset that settles a contract; of spot instruments empty."""

    @staticmethod
    def contract(base: str, quote: str, expiry: str = "", settlement: str = "") -> "Name":
        """The name of a future, or of a perpetual if there is no expiry; settled in its quote by default."""
        return Name(base, quote, FUTURE if expiry else PERPETUAL, expiry, settlement or quote)

    def __str__(self) -> str:
        middle = [] if self.kind == SPOT else [self.expiry or PERP]
        return "-".join([self.base, self.quote, *middle, *([self.settlement] if self.is_settled_otherwise else [])])

    @property
    def is_settled_otherwise(self) -> bool:
        """Whether another asset than the quote settles it."""
        return self.settlement not in ("", self.quote)


@lru_cache(1024)
def parsed(symbol: str) -> Name:
    """The parts of a canonical name.

    Raises:
        ValueError: it is not a canonical name.
    """
    if not is_canonical(symbol):
        raise ValueError(f"{symbol!r} is not a canonical name")
    base, quote, *more = symbol.split("-")
    if not more:
        return Name(base, quote)
    return Name.contract(base, quote, "" if more[0] == PERP else more[0], more[1] if more[1:] else "")
