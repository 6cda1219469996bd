"""Binance's data that is requested over REST: open interest, and the whole account."""

import msgspec

from market_collector.exchanges.binance.balances import ACCOUNT, whole_account
from market_collector.exchanges.binance.markets import FUNDING, PERPETUALS, Call
from market_collector.exchanges.binance.rest import decoded, reading
from market_collector.exchanges.interface import AccountUpdate, Batch, Request
from market_collector.model.streams import DataType, Stream

OPEN_INTEREST = Call("openInterest?symbol={symbol}", 1)
SETTLED_RATES = Call("fundingRate?symbol={symbol}&limit=10", 1)
"""A disconnection over as many payments loses none."""


class BinancePolls:
    """Open interest and settled rates, which no connection has, and the account, of which one sends only changes."""

    def request(self, stream: Stream) -> Request:
        """Request open interest, the last settled rates, or the assets with a balance."""
        match stream.data_type:
            case DataType.OPENINTEREST:
                return PERPETUALS.request(OPEN_INTEREST, stream)
            case DataType.FUNDING:
                return msgspec.structs.replace(PERPETUALS.request(SETTLED_RATES, stream), bucket=FUNDING)
        return ACCOUNT

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Batch | AccountUpdate:
        """Read an answer."""
        if stream.data_type is DataType.BALANCE:
            return whole_account(stream, body, receive_time_ns)
        from market_collector.exchanges.binance import derivatives  # only for them

        with reading(stream, body):
            if stream.data_type is DataType.FUNDING:
                rows = decoded(stream, body, list[derivatives.SettledRow])
                return Batch(stream, [derivatives.settled_of(stream.symbol, receive_time_ns, row) for row in rows])
            answer = decoded(stream, body, derivatives.InterestAnswer)
            return Batch(stream, [derivatives.open_interest_of(stream.symbol, answer, receive_time_ns)])
