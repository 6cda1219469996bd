"""Binance's data that is requested over REST: open interest, and the whole account."""

import msgspec

from market_collector.exchanges.binance.balances import ACCOUNT, whole_account
from market_collector.exchanges.binance.rest import FUNDING, decoded, perpetual_request, reading, symbol_query
from market_collector.exchanges.interface import AccountUpdate, Batch, Request
from market_collector.model.streams import DataType, Stream

SETTLED_RATES = 10
"""Payments of an answer. A disconnection over as many loses none."""


class BinancePolls:
    """Open interest and settled rates, which no connection has, and the account, of which one sends only changes."""

    def request(self, stream: Stream) -> Request:
        """Request open interest, the last settled rates, or the assets with a balance."""
        match stream.data_type:
            case DataType.OPENINTEREST:
                return perpetual_request(f"openInterest?{symbol_query(stream)}", 1)
            case DataType.FUNDING:
                call = f"fundingRate?{symbol_query(stream)}&limit={SETTLED_RATES}"
                return msgspec.structs.replace(perpetual_request(call, 1), bucket=FUNDING)
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
