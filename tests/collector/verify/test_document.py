"""The report for programs: its names are a promise."""

import json

from market_collector.reading.trouble import Trouble
from market_collector.verify.document import TIMELINE_CELLS, document
from market_collector.verify.report import (
    Books,
    Finding,
    MissingRange,
    RangeState,
    Reckoning,
    Report,
    StreamReport,
)
from records import at

RECKONING = Reckoning(
    missing_ranges=(MissingRange(RangeState.LOST, "104", "105", 2, at(1), None, "IdsMissing", "gap-1", "a"),),
    missing={RangeState.LOST: 2, RangeState.OPEN: 0, RangeState.UNREPORTED: 0},
    findings=(Finding("Crossed", "for 2 s", at(3), "a"),),
    pauses=((at(4), at(5)),),
    duplicates=1,
    distinct=9,
    books=Books(7, 2),
)
STREAM = StreamReport(
    "okx", "A-B/trade", ("a", "b"), at(0), at(10), 12, RECKONING, {"gap": 1}, 3, 4, ((at(0), at(10)),), (), ()
)


def test_the_document_has_everything_under_stable_names() -> None:
    made = document(Report([STREAM], 2, 13, 1, [Trouble("f", 7, "not JSON")], ["torn"]))
    assert json.loads(json.dumps(made)) == made
    (stream,) = made.pop("streams")
    assert made == {
        "version": 1,
        "verdict": "unreadable",
        "exit_code": 2,
        "files": 2,
        "records": 13,
        "raw_records": 1,
        "unreadable": [{"file": "f", "line": 7, "reason": "not JSON"}],
        "notes": ["torn"],
    }
    timeline = stream.pop("timeline")
    assert (timeline["from_time_ns"], timeline["to_time_ns"], len(timeline["cells"])) == (at(0), at(10), TIMELINE_CELLS)
    assert stream == {
        "exchange": "okx",
        "stream": "A-B/trade",
        "complete": False,
        "replicas": ["a", "b"],
        "from_time_ns": at(0),
        "to_time_ns": at(10),
        "records": 12,
        "distinct": 9,
        "duplicates": 1,
        "holes": {"repaired": 0, "bridged": 0, "lost": 1, "open": 0, "unreported": 0},
        "missing": {"lost": 2, "open": 0, "unreported": 0},
        "books": {"proved": 7, "unproved": 2},
        "hole_list": [
            {
                "state": "lost", "from": "104", "to": "105", "missing": 2, "from_time_ns": at(1), "to_time_ns": None,
                "reason": "IdsMissing", "gap_id": "gap-1", "replica": "a",
            }
        ],
        "findings": [{"kind": "Crossed", "detail": "for 2 s", "time_ns": at(3), "replica": "a"}],
        "pauses": [{"from_time_ns": at(4), "to_time_ns": at(5)}],
        "events": {"gap": 1},
        "out_of_order": 3,
        "longest_silence_ns": 4,
    }  # fmt: skip


def test_what_does_not_apply_is_null() -> None:
    empty = StreamReport("okx", "A-B/ticker", (), None, None, 0, Reckoning(), {}, 0, 0, (), (), ())
    (stream,) = document(Report([empty], 0, 0, 0))["streams"]
    assert [stream[name] for name in ("missing", "distinct", "books", "timeline", "from_time_ns")] == [None] * 5
