"""Bybit's trade ids, made from the dense ids of the market.

Spot ids are numbers that rise in steps of 1 to 31. Linear ids are UUIDs of version 5 in no order. So neither tells
whether a trade is missing. `dense` reads them back.
"""

from typing import Final
from zlib import crc32

from market_simulator.dialects.bybit.symbols import SPOT, category
from market_simulator.engine.events import TradeRow

_SPACE: Final = 10**16  # the digits below the symbol's own ones
_STEP: Final = 16
_MIXED: Final = 1 << 48
_FACTOR: Final = 0x5DEECE66D5A5  # odd, so multiplication with it can be undone modulo 2^48
_INVERSE: Final = pow(_FACTOR, -1, _MIXED)


def trade_id(symbol: str, dense_id: int) -> str:
    """The exchange's id of a fill."""
    return _number(symbol, dense_id) if category(symbol) == SPOT else _uuid(symbol, dense_id)


def id_of(symbol: str, row: TradeRow, place: int) -> str:
    """The exchange's id of a fill of a row: the recorded one, or one that is made."""
    return row.name or trade_id(symbol, row.first_id + place)


def dense(native_id: str) -> int:
    """The market's id of a fill, from the exchange's."""
    if "-" in native_id:
        head, middle, *_ = native_id.split("-")
        return int(head + middle, 16) * _INVERSE % _MIXED
    return int(native_id) % _SPACE // _STEP


def _number(symbol: str, dense_id: int) -> str:
    return str((100 + crc32(symbol.encode()) % 800) * _SPACE + dense_id * _STEP + (dense_id * 0x9E3779B1 >> 7) % _STEP)


def _uuid(symbol: str, dense_id: int) -> str:
    mixed = dense_id * _FACTOR % _MIXED
    tail = (mixed * 0x9E3779B97F4A7C15 + crc32(symbol.encode())) & ((1 << 76) - 1)
    head, rest = f"{mixed:012x}", f"{tail:019x}"
    variant = "89ab"[int(rest[3], 16) % 4]
    return f"{head[:8]}-{head[8:]}-5{rest[:3]}-{variant}{rest[4:7]}-{rest[7:]}"
