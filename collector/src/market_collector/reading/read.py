"""All records of one type, from recorded files: deduplicated, sorted, as records or as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from market_collector.model.events import AnyRecord, Gap
from market_collector.model.identity import union
from market_collector.reading import frames
from market_collector.reading.newer import KINDS
from market_collector.reading.order import order
from market_collector.reading.strict import Files, Symbols, check_kind, find_recordings, records_of, symbols_of

if TYPE_CHECKING:
    import pandas
    import polars


class Recorded:
    """The records of one type, in order. Made by `read`."""

    def __init__(self, kind: type[AnyRecord], records: Sequence[AnyRecord]) -> None:
        self.kind = kind
        """The class of the records."""
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def records(self) -> Iterator[AnyRecord]:
        """Return an iterator of the records. Prices and amounts are exact strings, times nanoseconds since 1970."""
        return iter(self._records)

    def to_polars(self, numbers: frames.Numbers = "float") -> polars.DataFrame:
        """Return a polars table with one row a record.

        Columns have the names and the order of docs/records.md; a time's name has no ``_ns``. Times are UTC with
        nanoseconds. Prices and amounts are Float64, or with ``numbers="text"`` the exact strings. ``bids`` and
        ``asks`` are lists of ``{price, amount}``.

        Raises:
            MissingLibraryError: polars is not installed.
        """
        return frames.to_polars(self.kind, self._records, numbers)

    def to_pandas(self, numbers: frames.Numbers = "float") -> pandas.DataFrame:
        """Return a pandas table with one row a record.

        The same columns as in `to_polars`. Absent values are NaN, NaT or NA. ``bids`` and ``asks`` are lists of tuples
        (price, amount).

        Raises:
            MissingLibraryError: pandas is not installed.
        """
        return frames.to_pandas(self.kind, self._records, numbers)


def read(files: Files, type: str, symbols: Symbols = None) -> Recorded:
    """Read all records of one type from recorded files.

    Records of one identity become one; docs/records.md says which is kept. Candles are sorted by open time, other
    market data by exchange time and number, and events by receive time.

    Memory grows with the records of that type, by about 1 kB each, books more. Other types are skipped without
    decoding.

    Args:
        files: a file, a folder with all recorded files below it, or several. Files of replicas are merged.
        type: the record type, such as ``trade``, ``orderbook``, ``candle`` or ``gap``.
        symbols: a symbol such as ``BTC-USDT``, or several; None for all.

    Raises:
        RecordingError: a file is missing, or a line cannot be read. The message names file and line.
        InputError: there is no such record type.
    """
    name, wanted = check_kind(type, "type"), symbols_of(symbols)
    replicas = [
        _once(record for record in records_of(recording, [name]) if wanted is None or record.symbol in wanted)
        for recording in find_recordings(files)
    ]
    return Recorded(KINDS[name], sorted(union(*replicas), key=order))


def _once(records: Iterable[AnyRecord]) -> Iterator[AnyRecord]:
    """Yield the records of one replica without gaps that later files repeat."""
    gaps = set[tuple[str, str]]()
    for record in records:
        if isinstance(record, Gap):
            if (key := (record.exchange, record.gap_id)) in gaps:
                continue
            gaps.add(key)
        yield record
