"""``market-collector validate``: reports for each file that it is valid, or everything that is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from market_collector.config.settings import Document, load
from market_collector.errors import InputError
from market_spec.messages import counted, escaped, escaped_lines


def validate(paths: Sequence[str]) -> int:
    """Prints ``FILE: ok (NAME: okx, 1 symbol, 3 streams)`` for each document, or each problem to standard error.

    Returns the exit code: 0, or 2 when a file is not valid.
    """
    return max([_validate_file(path) for path in paths], default=0)


def _validate_file(path: str) -> int:
    try:
        documents = load(path)
    except InputError as error:
        print(escaped_lines(str(error)), file=sys.stderr)
        return 2
    for document in documents:
        print(escaped(f"{document.file}: ok ({_summary(document)})"))
    return 0


def _summary(document: Document) -> str:
    spec = document.spec
    symbols, streams = counted(len(spec.all_symbols), "symbol"), counted(spec.stream_count, "stream")
    return f"{document.name}: {spec.exchange}, {symbols}, {streams}"
