"""``market-collector verify FILE...``: reads, judges, prints."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace

from market_collector.reading.files import recordings
from market_collector.reading.trouble import Trouble
from market_collector.verify import merge
from market_collector.verify.document import document
from market_collector.verify.files import Reader
from market_collector.verify.report import EXIT_CODES, Report
from market_collector.verify.table import text
from market_collector.verify.timeline import BLOCKS
from market_spec.messages import escaped_lines

WIDTH_WITHOUT_TERMINAL = 120
NOTHING = "there is nothing in it to check: no market data. Check the collector's log, and the disk that it wrote to"


def verify(paths: Sequence[str], output: str) -> int:
    """Prints the report of recorded files, as ``table`` or ``json``; returns the exit code."""
    report = examine(paths)
    if output == "json":
        print(json.dumps(document(report), indent=2))
    else:
        width = shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns
        print(escaped_lines(text(report, width, _has_blocks(sys.stdout.encoding))))
    return EXIT_CODES[report.verdict]


def examine(paths: Sequence[str]) -> Report:
    """Reads files and directories, one replica after the other, and judges them together."""
    reader = Reader()
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


def _has_blocks(encoding: str | None) -> bool:
    try:
        "".join(BLOCKS.values()).encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
