"""Intervals in which recorded data is proved whole, in all replicas together."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from market_collector.exchanges import is_partial
from market_collector.model.streams import DataType, Stream
from market_collector.verify.report import StreamReport
from market_spec.messages import escaped

FORMULA = ("=", "+", "-", "@")
"""Starts of a cell that spreadsheets calculate."""


class Interval(msgspec.Struct, frozen=True):
    """An interval without missing data of one stream. Times are nanoseconds since 1970."""

    exchange: str
    symbol: str
    stream: str
    data_type: str
    interval: str | None
    """Candles only: ``1m``, ``1h``, ..."""
    from_time_ns: int
    """Time of the first record; candles: the open time."""
    to_time_ns: int
    """Time of the last record, inclusive; candles: the end of the last one, exclusive."""
    proof: str
    """``numbers`` of trades and candles, ``links`` of books and their quotes; ``connection`` if only an open connection
    shows it; ``partial`` if the exchange reports only a part then."""


def intervals(streams: Iterable[StreamReport]) -> Iterator[Interval]:
    """Yield the intervals of these streams, in the order of their times."""
    for report in streams:
        stream = Stream.parse(report.stream)
        proof, spans = "connection", report.connected
        if stream.data_type in (DataType.TRADE, DataType.CANDLE):
            proof = "numbers" if report.reckoning.is_numbered else "connection"
            spans = report.reckoning.proved
        elif stream.data_type in (DataType.ORDERBOOK, DataType.QUOTE):
            proof, spans = "links", report.reckoning.proved
        elif is_partial(report.exchange, stream.data_type):
            proof = "partial"
        for start, end in sorted(spans):
            yield Interval(
                report.exchange,
                stream.symbol,
                report.stream,
                stream.data_type,
                stream.interval or None,
                start,
                end,
                proof,
            )


def to_csv(found: Sequence[Interval]) -> str:
    """Return intervals as CSV with a header line. Names can steer neither a terminal nor a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Interval.__struct_fields__)
    writer.writerows(map(_cell, msgspec.structs.astuple(each)) for each in found)
    return text.getvalue()


def _cell(value: str | int | None) -> str | int | None:
    if not isinstance(value, str):
        return value
    text = escaped(value)
    return f"'{text}" if text.startswith(FORMULA) else text
