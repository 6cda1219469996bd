"""OKX's names of instruments, and the canonical ones (docs/exchanges/okx.md section 10).

==========  ===========================  ==============================================
spot        ``BTC-USDT``                 ``BTC-USDT``
perpetual   ``BTC-USDT-SWAP``            ``BTC-USDT-PERP``
..          ``BTC-USD-SWAP``             ``BTC-USD-PERP-BTC``, settled in its base
future      ``BTC-USDT-270326``          ``BTC-USDT-270326``
..          ``BTC-USD-270326``           ``BTC-USD-270326-BTC``
==========  ===========================  ==============================================
"""

from market_spec.exchanges import CAPABILITIES
from market_spec.names import FUTURE, PERPETUAL, SPOT, Name, is_canonical, parsed

OKX = CAPABILITIES["okx"]
SWAP = "SWAP"
TYPES = {SPOT: "SPOT", PERPETUAL: SWAP, FUTURE: "FUTURES"}
"""OKX's word for each kind, ``instType``."""


def native_name(symbol: str) -> str:
    """OKX's name, ``instId``, of a canonical one."""
    name = parsed(symbol)
    pair = f"{name.base}-{name.quote}"
    return pair if name.kind == SPOT else f"{pair}-{name.expiry or SWAP}"


def instrument_type(symbol: str) -> str:
    """OKX's word for the kind of an instrument."""
    return TYPES[parsed(symbol).kind]


def canonical_name(instrument: str, settlement: str = "") -> Name | None:
    """The canonical name of an ``instId``; None for options and other instruments that have none.

    Args:
        instrument: OKX's name.
        settlement: the asset that settles it; by default the one that usually does.
    """
    match instrument.split("-"):
        case [base, quote]:
            name = Name(base, quote)
        case [base, quote, last]:
            usual = OKX.canonical(Name.contract(base, quote, "" if last == SWAP else last))
            name = Name.contract(base, quote, usual.expiry, settlement or usual.settlement)
        case _:
            return None
    return name if is_canonical(str(name)) else None
