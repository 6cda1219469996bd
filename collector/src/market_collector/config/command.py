"""``market-collector validate``: says of each file that it is good, or everything that is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from market_collector.config.settings import Document, Settings, load, read_settings
from market_collector.config.validation import counted
from market_collector.errors import InputError
from market_collector.model.streams import DataType


def validate(paths: Sequence[str]) -> int:
    """Prints ``FILE: ok (NAME: okx, 1 symbol, 3 streams)`` a document, or each problem to standard error.

    Returns the exit code: 0, or 2 when a file is not good.
    """
    return max([_validate_file(path) for path in paths], default=0)


def _validate_file(path: str) -> int:
    try:
        documents = load(path)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for document in documents:
        print(f"{document.file}: ok ({_summary(document)})")
    return 0


def _summary(document: Document) -> str:
    wanted = read_settings(document)
    symbols, streams = counted(len(wanted.symbols), "symbol"), counted(_streams(wanted), "stream")
    return f"{document.name}: {wanted.exchange}, {symbols}, {streams}"


def _streams(wanted: Settings) -> int:
    a_symbol = sum(len(wanted.candle_intervals) if each is DataType.CANDLE else 1 for each in wanted.data_types)
    return len(wanted.symbols) * a_symbol
