"""The report for people: a table, every gap, the timeline, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from market_collector.verify.report import MISSING, Completeness, MissingRange, RangeState, Report, Span, StreamReport
from market_collector.verify.timeline import blocks, legend, paint, whole_time
from market_spec.messages import counted, escaped

HEADINGS = ("STREAM", "FROM (UTC)", "TO", "RECORDS", "REPAIRED", "LOST", "OPEN", "UNREPORTED", "DUPLICATES", "PROVED")
ALWAYS_SHOWN = 4
"""Leading columns that are shown even if no stream has anything in them."""
EMPTY = ("0", "-")
LINES_KEPT = 20
"""Gaps, findings and pauses that are listed for one stream; `-o json` lists all."""
NARROWEST_TIMELINE = 20
LONGEST_NAME = 120
"""Characters of a stream's name that are shown: every row is as wide as the longest one."""
LONGEST_LINE = 500


def text(report: Report, width: int, has_blocks: bool) -> str:
    """The whole report. Its timeline has at most ``width`` columns. Foreign text cannot add lines or escapes."""
    parts = [_table(report.streams)] if report.streams else []
    parts += [_details(stream) for stream in report.streams]
    parts.append(_timeline(report.streams, width, has_blocks))
    parts.append("\n".join(f"note: {escaped(note)}" for note in report.notes))
    parts.append("\n".join(map(str, report.troubles)))
    parts.append(verdict(report))
    return "\n\n".join(part for part in parts if part)


def _name(stream: StreamReport) -> str:
    return escaped(f"{stream.exchange} {stream.stream}"[:LONGEST_NAME])


def moment(time_ns: int | None) -> str:
    """``2026-11-22 10:00:00.123`` in UTC; ``-`` for None."""
    if time_ns is None:
        return "-"
    try:
        seconds = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    except (ValueError, OverflowError, OSError):  # a damaged record
        return f"{time_ns} ns"
    return f"{seconds:%Y-%m-%d %H:%M:%S}.{time_ns // 1_000_000 % 1000:03d}"


def verdict(report: Report) -> str:
    """The last line."""
    read = f"{report.records:,} records in {counted(report.files, 'file')}"
    if report.verdict is Completeness.COMPLETE:
        return f"COMPLETE: {read}. {_what_is_there(report.streams)}"
    if report.verdict is Completeness.INCOMPLETE:
        return f"INCOMPLETE: {_what_is_wrong(report.streams)}"
    return f"UNREADABLE: {counted(len(report.troubles), 'error')} above; {read} checked"


def _what_is_there(streams: Sequence[StreamReport]) -> str:
    unnumbered = sorted({stream.exchange for stream in streams if not stream.reckoning.is_numbered})
    if not unnumbered:
        return "Every trade, candle and book link is there"
    names = escaped(", ".join(unnumbered))
    return f"Every candle and book link is there; trades of {names} are not provable between interruptions"


def _what_is_wrong(streams: Sequence[StreamReport]) -> str:
    """Such as ``2 gaps, 1 contradiction in okx BTC-USDT/trade, okx ETH-USDT/trade``."""
    bad = [stream for stream in streams if not stream.is_complete]
    gaps = sum(stream.counts[state] for stream in bad for state in MISSING)
    findings = sum(len(stream.reckoning.findings) for stream in bad)
    counts = [counted(number, noun) for number, noun in ((gaps, "gap"), (findings, "contradiction")) if number]
    names = ", ".join(map(_name, bad))
    return f"{', '.join(counts)} in {names}"


def _table(streams: Sequence[StreamReport]) -> str:
    """Columns that are empty for every stream are left out."""
    body = [_row(stream) for stream in streams]
    shown = [at for at in range(len(HEADINGS)) if at < ALWAYS_SHOWN or any(row[at] not in EMPTY for row in body)]
    rows = [[row[at] for at in shown] for row in (HEADINGS, *body)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(shown))]
    return "\n".join(_aligned(row, widths) for row in rows)


def _row(stream: StreamReport) -> tuple[str, ...]:
    counts, books = stream.counts, stream.reckoning.books
    return (
        _name(stream),
        moment(stream.from_ns),
        moment(stream.to_ns),
        f"{stream.records:,}",
        str(counts[RangeState.REPAIRED] + counts[RangeState.BRIDGED]),
        *(str(counts[state]) for state in MISSING),
        f"{stream.reckoning.duplicates:,}",
        "-" if books is None else f"{books.proved:,}",
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if at < 3 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _details(stream: StreamReport) -> str:
    lines = [escaped(line[:LONGEST_LINE]) for line in _detail_lines(stream)]
    more = len(lines) - LINES_KEPT
    kept = lines[:LINES_KEPT] + ([f"... and {more} more (-o json lists all)"] if more > 0 else [])
    return "\n".join([f"{_name(stream)}:", *(f"  {line}" for line in kept)]) if kept else ""


def _detail_lines(stream: StreamReport) -> Iterator[str]:
    for state in reversed(MISSING):
        for missing_range in stream.reckoning.missing_ranges:
            if missing_range.state is state:
                yield _missing_range(missing_range)
    for finding in stream.reckoning.findings:
        yield f"{finding.kind} at {moment(finding.time_ns)}: {finding.detail}{_in(finding.replica)}"
    for pause in stream.reckoning.pauses:
        yield f"not recorded {_span(pause)}: continues with a new snapshot"
    if stream.reckoning.books is not None and stream.reckoning.books.unproved:
        yield f"{stream.reckoning.books.unproved:,} book states are not proved: no snapshot before them here"
    yield from _unnumbered(stream)
    if stream.out_of_order:
        yield f"{counted(stream.out_of_order, 'record')} out of order in exchange time"
    if refused := stream.events.get("refused"):
        yield f"refused by the exchange {counted(refused, 'time')}"


def _unnumbered(stream: StreamReport) -> Iterator[str]:
    if not stream.reckoning.is_numbered:
        yield "not provable between interruptions: its trade ids are not dense"
    if stream.reckoning.audited is not None:
        yield f"{counted(stream.reckoning.audited, 'minute')} with the volume of its candle"


def _missing_range(missing_range: MissingRange) -> str:
    what = f"{missing_range.first or '?'} to {missing_range.last or '?'}" + (
        "" if missing_range.missing is None else f" ({missing_range.missing:,} missing)"
    )
    gap = f", gap {missing_range.gap_id}" if missing_range.gap_id else ""
    when = f"{moment(missing_range.from_ns)} to {moment(missing_range.to_ns)}"
    return f"{missing_range.state.upper()} {what}, {when}: {missing_range.reason}{gap}{_in(missing_range.replica)}"


def _in(replica: str) -> str:
    return f" [{replica}]" if replica else ""


def _span(span: Span) -> str:
    return f"{moment(span[0])} to {moment(span[1])} ({(span[1] - span[0]) / 1e9:.3f} s)"


def _timeline(streams: Sequence[StreamReport], width: int, has_blocks: bool) -> str:
    time = whole_time(streams)
    if time is None:
        return ""
    names = list(map(_name, streams))
    margin = max(map(len, names)) + 1
    room = max(NARROWEST_TIMELINE, width - margin)
    lines_painted = [paint(stream, time, room) for stream in streams]
    lines = [
        f"{name:{margin}}{blocks(painted) if has_blocks else painted}".rstrip()
        for name, painted in zip(names, lines_painted, strict=True)
    ]
    start, end = moment(time[0]), moment(time[1])[11:]
    scale = f"{'':{margin}}{start}{end:>{max(len(end) + 1, room - len(start))}}"
    return "\n".join([*lines, scale, legend(has_blocks)])
