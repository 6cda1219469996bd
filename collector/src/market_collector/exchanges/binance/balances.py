"""Binance's balances: the account over REST, and the records made from it."""

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Annotated

import msgspec

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.binance.rows import NAME, is_zero
from market_collector.exchanges.decimals import Milliseconds, check_decimals
from market_collector.exchanges.interface import AccountUpdate, Request
from market_collector.model.events import Balance
from market_collector.model.streams import Stream

EXACT = Context(prec=100)
"""Exact for the sum of two decimals of at most 81 digits, see `decimals.DECIMAL`."""
Asset = Annotated[str, msgspec.Meta(min_length=1)]


class BalanceRow(msgspec.Struct, gc=False):
    """``{"asset":"BTC","free":"0.01485691","locked":"0.00000000"}`` [rec]."""

    asset: Asset
    free: str
    locked: str


class AccountAnswer(msgspec.Struct, gc=False):
    """``{"updateTime":1790686454570,"accountType":"SPOT","balances":[BalanceRow, ...],...}`` [rec]."""

    updateTime: Milliseconds
    balances: list[BalanceRow]


read_account = msgspec.json.Decoder(AccountAnswer).decode


ACCOUNT = Request("/api/v3/account?omitZeroBalances=true", cost=20, is_signed=True)
"""The request for the assets with a balance."""


def whole_account(stream: Stream, body: bytes, receive_time_ns: int) -> AccountUpdate:
    """Read the answer to `ACCOUNT`. Raises a `FrameError` that does not repeat it."""
    try:
        answer = read_account(body)
        return account_of(stream, answer.balances, answer.updateTime, receive_time_ns, is_whole=True)
    except UNREADABLE as error:
        raise FrameError(f"Binance's answer for {stream} cannot be read: {error}", stream) from error


def account_of(
    stream: Stream, rows: Sequence[BalanceRow], time_ms: int, receive_time_ns: int, *, is_whole: bool
) -> AccountUpdate:
    """Make an update of the account. Raises ValueError."""
    time_ns = time_ms * 1_000_000
    balances = [_balance(stream.symbol, row, time_ns, receive_time_ns) for row in rows]
    return AccountUpdate(stream, balances, time_ns, is_whole)


def _balance(symbol: str, row: BalanceRow, time_ns: int, receive_time_ns: int) -> Balance:
    """Make the record; an asset that is not held has the amount "0", as if it was not listed."""
    check_decimals((row.free, row.locked))
    total = format(EXACT.add(Decimal(row.free), Decimal(row.locked)), "f")
    amounts = ("0", "0", "0") if is_zero(total) else (total, row.free, row.locked)
    return Balance(NAME, symbol, time_ns, receive_time_ns, row.asset, *amounts)
