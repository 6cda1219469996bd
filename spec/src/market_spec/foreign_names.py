"""Names of instruments as exchanges and other programs write them, for messages that suggest the canonical name.

======================================  ==================
``BTC-USDT-SWAP``, ``BTCUSDT-PERP``     ``BTC-USDT-PERP``
``BTC/USDT:USDT``                       ``BTC-USDT-PERP``
``BTC-USD-SWAP``, ``BTCUSD_PERP``       ``BTC-USD-PERP-BTC``
``BTCUSDT_260327``, ``BTCUSDT-27MAR26`` ``BTC-USDT-260327``
``btc_usdt``                            ``BTC-USDT``
======================================  ==================

Only messages need this module, so collectors load it for a message.
"""

import re
from datetime import datetime

from market_spec.names import Name, is_canonical

QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDE", "DAI", "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "BTC", "ETH",
    "BNB",
)  # fmt: skip
"""Ends of names without separators, such as BTCUSDT. A longer end precedes its own end (TUSD before USD)."""
_PERPETUALS = ("PERP", "SWAP", "PERPETUAL", "LINEAR", "INVERSE")
_DATES = {r"\d{6}": "%y%m%d", r"\d{8}": "%Y%m%d", r"\d{1,2}[A-Z]{3}\d{2}": "%d%b%y"}
_split_pair = re.compile(f"([A-Z0-9]+?)({'|'.join(QUOTES)})").fullmatch
_match_option = re.compile(r".*\d.*-[CP](-[A-Z]+)?").fullmatch


def is_option(text: str) -> bool:
    """Whether this looks like an option, such as BTC-USD-260327-60000-C."""
    return _match_option(text.upper()) is not None


def canonical_names(text: str) -> list[str]:
    """The canonical names that a foreign name may stand for: several if it does not show the kind."""
    parts = [part for part in re.split("[-_/:]", text.strip().upper()) if part]
    names = [] if is_option(text) else map(str, _of_ccxt(parts) if ":" in text else _of_parts(parts))
    return [name for name in names if is_canonical(name) and name != text]


def _of_ccxt(parts: list[str]) -> list[Name]:
    """``BTC/USDT:USDT``, ``BTC/USD:BTC-260327``."""
    match parts:
        case [base, quote, settlement]:
            return [Name.contract(base, quote, settlement=settlement)]
        case [base, quote, settlement, day]:
            return [Name.contract(base, quote, _expiry(day), settlement)]
    return []


def _of_parts(parts: list[str]) -> list[Name]:
    match parts:
        case [joined] if joined.endswith("PERP"):  # Bybit's names of contracts in USDC
            return [Name.contract(joined.removesuffix("PERP"), "USDC")]
        case [joined] if pair := _split_pair(joined):
            return [Name(pair[1], pair[2]), _contract(pair[1], pair[2])]
        case [joined, last] if _is_contract(last) and (pair := _split_pair(joined)):
            return [_contract(pair[1], pair[2], _expiry(last))]
        case [base, quote]:
            return [Name(base, quote)]
        case [base, quote, last, *_] if _is_contract(last):
            return [_contract(base, quote, _expiry(last))]
    return []


def _contract(base: str, quote: str, expiry: str = "") -> Name:
    """Contracts in USD are settled in their base on most exchanges."""
    return Name.contract(base, quote, expiry, base if quote == "USD" else quote)


def _is_contract(word: str) -> bool:
    return word in _PERPETUALS or bool(_expiry(word))


def _expiry(word: str) -> str:
    """The day as YYMMDD; empty if the word is none."""
    for pattern, form in _DATES.items():
        if re.fullmatch(pattern, word):
            try:
                return datetime.strptime(word, form).strftime("%y%m%d")
            except ValueError:
                return ""
    return ""
