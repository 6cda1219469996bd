"""``market-collector verify FILE...``: reads, judges, prints."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from market_collector.errors import RecordingError
from market_collector.reading.files import recordings
from market_collector.reading.strict import Files, Symbols, symbols_of
from market_collector.reading.trouble import Trouble
from market_collector.verify import merge
from market_collector.verify.document import document
from market_collector.verify.files import Reader
from market_collector.verify.intervals import Interval, intervals, to_csv
from market_collector.verify.report import EXIT_CODES, Report
from market_collector.verify.table import text
from market_collector.verify.timeline import BLOCKS

OUTPUTS = ("table", "json", "intervals", "intervals-csv")
WIDTH_WITHOUT_TERMINAL = 120
NOTHING = "there is nothing in it to check: no market data. Check the collector's log, and the disk that it wrote to"


def verify(paths: Sequence[str], output: str, *, audits_volumes: bool = False) -> int:
    """Prints the report of recorded files, in one of `OUTPUTS`; returns the exit code."""
    report = examine(paths, audits_volumes=audits_volumes)
    if output == "json":
        print(json.dumps(document(report), indent=2))
    elif output == "intervals":
        print(json.dumps([msgspec.structs.asdict(each) for each in intervals(report.streams)], indent=2))
    elif output == "intervals-csv":
        print(to_csv(list(intervals(report.streams))), end="")
    else:
        width = shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns
        print(text(report, width, _has_blocks(sys.stdout.encoding)))
    return EXIT_CODES[report.verdict]


def examine(paths: Sequence[str], *, audits_volumes: bool = False) -> Report:
    """Reads files and directories, one replica after the other, and judges them together."""
    reader = Reader(audits_volumes=audits_volumes)
    found, troubles = recordings(paths)
    replicas = [reader.read(recording) for recording in found]
    report = Report(
        streams=merge.streams(replicas),
        files=reader.files,
        records=sum(replica.records for replica in replicas),
        raw=sum(replica.raw for replica in replicas),
        troubles=[*troubles, *reader.troubles],
        notes=reader.notes,
    )
    return replace(report, troubles=[Trouble(path, None, NOTHING) for path in paths]) if report.is_empty else report


def coverage(files: Files, type: str | None = None, symbols: Symbols = None) -> list[Interval]:
    """Return the intervals in which recorded data is proved whole, in all replicas together.

    Args:
        files: a file, a folder with all recorded files below it, or several.
        type: a data type such as ``trade``; all if absent.
        symbols: a symbol such as ``BTC-USDT``, or several; all if absent.

    Raises:
        RecordingError: a file is missing, or has lines that cannot be read. They might hold any record.
    """
    paths = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    report = examine([os.fspath(path) for path in paths])
    if report.troubles:
        raise RecordingError("\n".join(map(str, report.troubles)))
    wanted = symbols_of(symbols)
    return [
        each
        for each in intervals(report.streams)
        if (type is None or each.data_type == type) and (wanted is None or each.symbol in wanted)
    ]


def _has_blocks(encoding: str | None) -> bool:
    try:
        "".join(BLOCKS.values()).encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
