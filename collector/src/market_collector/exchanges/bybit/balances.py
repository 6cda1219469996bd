"""Bybit's balances: the unified account over REST, and the records made from it."""

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Annotated

import msgspec

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.bybit.answers import read_envelope
from market_collector.exchanges.bybit.names import NAME
from market_collector.exchanges.decimals import check_decimals, check_signed_decimals
from market_collector.exchanges.interface import AccountUpdate, Request
from market_collector.model.events import Balance
from market_collector.model.streams import Stream

EXACT = Context(prec=100)
"""Exact for the sum of two decimals of at most 81 digits, see `decimals.DECIMAL`."""


class Coin(msgspec.Struct, gc=False):
    """One asset. ``locked`` is held by spot orders, ``spotBorrow`` is a part of ``walletBalance``; "" is no value.

    ``{"coin":"BTC","equity":"0.00102964","walletBalance":"0.00102964","locked":"0","spotBorrow":"0",...}``
    """

    coin: Annotated[str, msgspec.Meta(min_length=1)]
    walletBalance: str = ""
    locked: str = ""
    spotBorrow: str = ""


class Wallet(msgspec.Struct, gc=False):
    """``{"accountType":"UNIFIED","totalEquity":"10262.91","coin":[Coin, ...],...}``."""

    coin: list[Coin]


class WalletList(msgspec.Struct, gc=False):
    """Wire type: ``{"list":[Wallet]}``."""

    list: list[Wallet]


class BybitPolls:
    """The whole account, which the connection does not send."""

    def request(self, stream: Stream) -> Request:
        """Request the coins with a balance."""
        return Request("/v5/account/wallet-balance?accountType=UNIFIED", is_signed=True)

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> AccountUpdate:
        """Read the account. Errors do not repeat it."""
        try:
            envelope = read_envelope(body)
            if envelope.retCode != 0:
                raise FrameError(f"Bybit error {envelope.retCode} (REST, {stream})", stream)
            wallets = msgspec.json.decode(envelope.result, type=WalletList).list
            return account_of(stream, wallets, envelope.time, receive_time_ns, is_whole=True)
        except UNREADABLE as error:
            raise FrameError(f"Bybit's answer for {stream} cannot be read: {error}", stream) from error


def account_of(
    stream: Stream, wallets: Sequence[Wallet], time_ms: int, receive_time_ns: int, *, is_whole: bool
) -> AccountUpdate:
    """Make an update of the account. Raises ValueError."""
    time_ns = time_ms * 1_000_000
    coins = [coin for wallet in wallets for coin in wallet.coin]
    balances = [_balance(stream.symbol, coin, time_ns, receive_time_ns) for coin in coins]
    return AccountUpdate(stream, balances, time_ns, is_whole)


def _balance(symbol: str, coin: Coin, time_ns: int, receive_time_ns: int) -> Balance:
    """Make the record: what the account has borrowed is not its own, and what orders hold is not available."""
    locked = coin.locked or None
    check_signed_decimals((coin.walletBalance or None,))
    check_decimals((locked, coin.spotBorrow or None))
    if not coin.walletBalance:
        return Balance(NAME, symbol, time_ns, receive_time_ns, coin.coin, None, None, locked)
    total = EXACT.subtract(Decimal(coin.walletBalance), Decimal(coin.spotBorrow or "0"))
    available = max(Decimal(0), EXACT.subtract(total, Decimal(locked or "0")))
    if not total and not available:
        return Balance(NAME, symbol, time_ns, receive_time_ns, coin.coin, "0", "0", "0")
    return Balance(
        NAME, symbol, time_ns, receive_time_ns, coin.coin, format(total, "f"), format(available, "f"), locked
    )
