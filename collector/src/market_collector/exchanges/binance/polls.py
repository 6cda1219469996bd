"""Binance's data that is requested over REST: open interest, and the whole account."""

from market_collector.exchanges.binance.balances import ACCOUNT, whole_account
from market_collector.exchanges.binance.rest import decoded, perpetual_request, reading, symbol_query
from market_collector.exchanges.interface import AccountUpdate, Batch, Request
from market_collector.model.streams import DataType, Stream


class BinancePolls:
    """Open interest, which no connection has, and the account, of which the connection sends only changes."""

    def request(self, stream: Stream) -> Request:
        """Request open interest, or the assets with a balance."""
        if stream.data_type is DataType.OPENINTEREST:
            return perpetual_request(f"openInterest?{symbol_query(stream)}", 1)
        return ACCOUNT

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Batch | AccountUpdate:
        """Read an answer."""
        if stream.data_type is not DataType.OPENINTEREST:
            return whole_account(stream, body, receive_time_ns)
        from market_collector.exchanges.binance.derivatives import InterestAnswer, open_interest_of  # only for them

        with reading(stream, body):
            answer = decoded(stream, body, InterestAnswer)
            return Batch(stream, [open_interest_of(stream.symbol, answer, receive_time_ns)])
