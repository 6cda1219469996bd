"""The report for programs: the document of ``market-collector verify -o json`` (docs/verify.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from market_collector.verify.report import EXIT_CODES, MissingRange, RangeState, Report, Span, StreamReport
from market_collector.verify.timeline import paint, whole_time

VERSION = 1
TIMELINE_CELLS = 100


def document(report: Report) -> dict[str, Any]:
    """Fields may be added; those that are here keep their names and meaning."""
    time = whole_time(report.streams)
    return {
        "version": VERSION,
        "verdict": str(report.verdict),
        "exit_code": EXIT_CODES[report.verdict],
        "files": report.files,
        "records": report.records,
        "raw_records": report.raw,
        "unreadable": [{"file": each.file, "line": each.line, "reason": each.reason} for each in report.troubles],
        "notes": list(report.notes),
        "streams": [_stream(stream, time) for stream in report.streams],
    }


def _stream(stream: StreamReport, time: Span | None) -> dict[str, Any]:
    reckoning, counts = stream.reckoning, stream.counts
    return {
        "exchange": stream.exchange,
        "stream": stream.stream,
        "complete": stream.is_complete,
        "replicas": list(stream.replicas),
        "from_time_ns": stream.from_ns,
        "to_time_ns": stream.to_ns,
        "records": stream.records,
        "distinct": reckoning.distinct,
        "duplicates": reckoning.duplicates,
        **({} if reckoning.is_numbered else {"numbered": False}),
        **({} if reckoning.audited is None else {"audited_minutes": reckoning.audited}),
        "holes": {str(state): counts[state] for state in RangeState},
        "missing": {str(state): count for state, count in reckoning.missing.items()} or None,
        "books": None
        if reckoning.books is None
        else {"proved": reckoning.books.proved, "unproved": reckoning.books.unproved},
        "hole_list": [_missing_range(missing_range) for missing_range in reckoning.missing_ranges],
        "findings": [
            {"kind": each.kind, "detail": each.detail, "time_ns": each.time_ns, "replica": each.replica}
            for each in reckoning.findings
        ],
        "pauses": [_span(pause) for pause in reckoning.pauses],
        "events": dict(stream.events),
        "out_of_order": stream.out_of_order,
        "longest_silence_ns": stream.longest_silence_ns,
        "timeline": None if time is None else {**_span(time), "cells": paint(stream, time, TIMELINE_CELLS)},
    }


def _missing_range(missing_range: MissingRange) -> Mapping[str, Any]:
    return {
        "state": str(missing_range.state),
        "from": missing_range.first,
        "to": missing_range.last,
        "missing": missing_range.missing,
        "from_time_ns": missing_range.from_ns,
        "to_time_ns": missing_range.to_ns,
        "reason": missing_range.reason,
        "gap_id": missing_range.gap_id,
        "replica": missing_range.replica,
    }


def _span(span: Span) -> dict[str, int]:
    return {"from_time_ns": span[0], "to_time_ns": span[1]}
