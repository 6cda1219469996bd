"""Merges replicas, since one may have the records that another lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from market_collector.model.streams import DataType, Stream
from market_collector.reading.ranges import merged, minus
from market_collector.verify import books, ids
from market_collector.verify.books import BookLine
from market_collector.verify.ids import NumberLine
from market_collector.verify.replica import ReplicaCheck
from market_collector.verify.report import Finding, Reckoning, Span, StreamReport, of
from market_collector.verify.stream import StreamCheck
from market_collector.verify.unnumbered import UnnumberedLine, reckon

QUOTES, BOOKS = f"/{DataType.QUOTE}", f"/{DataType.ORDERBOOK}"
Part = tuple[ReplicaCheck, StreamCheck]


def streams(replicas: Sequence[ReplicaCheck]) -> list[StreamReport]:
    """One report a stream, by exchange and name. Call it once, when all records were taken."""
    parts: dict[tuple[str, str], list[Part]] = {}
    for replica in replicas:
        for key, check in replica.streams.items():
            parts.setdefault(key, []).append((replica, check))
    reports = {(exchange, name): _report(exchange, name, parts[exchange, name]) for exchange, name in sorted(parts)}
    for (exchange, name), report in reports.items():
        book = reports.get((exchange, name.replace(QUOTES, BOOKS)))
        if name.endswith(QUOTES) and book is not None:
            proved = _of_quotes(book.reckoning.proved, parts[exchange, name])
            reports[exchange, name] = replace(report, reckoning=replace(report.reckoning, proved=proved))
    return list(reports.values())


def _of_quotes(book: Sequence[Span], parts: Sequence[Part]) -> tuple[Span, ...]:
    """Quotes are whole where their book is, except between the quotes around those that a sink dropped."""
    drops = [(before + 1, after - 1) for _, check in parts for before, after in check.drops]
    return tuple(minus(book, merged([drops])))


def _report(exchange: str, name: str, parts: Sequence[Part]) -> StreamReport:
    checks = [check for _, check in parts]
    seen = [check for check in checks if check.from_ns is not None]
    starts = [check.from_ns for check in seen if check.from_ns is not None]
    return StreamReport(
        exchange=exchange,
        stream=name,
        replicas=tuple(replica.name for replica, _ in parts),
        from_ns=min(starts, default=None),
        to_ns=max((check.to_ns for check in seen), default=None),
        records=sum(check.records for check in checks),
        reckoning=_audited(exchange, name, _reckon(parts), parts),
        events=dict(sum((check.events for check in checks), Counter[str]())),
        out_of_order=sum(check.out_of_order for check in checks),
        longest_silence_ns=max(check.longest_silence_ns for check in checks),
        busy=_joined(span for check in checks for span in check.busy.spans()),
        reconnects=_joined(span for check in checks for span in check.reconnects.spans()),
        connected=_joined(
            span
            for replica, _ in parts
            if (known := replica.connections.get((exchange, name))) is not None
            for span in known.spans
        ),
        running=_joined(span for replica, _ in parts for span in replica.running),
    )


def _reckon(parts: Sequence[Part]) -> Reckoning:
    reckoning = _reckon_continuity(parts)
    findings = [finding for replica, check in parts for finding in of(replica.name, check.order.findings)]
    return replace(
        reckoning,
        findings=(*reckoning.findings, *findings),
        duplicates=reckoning.duplicates + sum(check.order.duplicates for _, check in parts),
    )


def _reckon_continuity(parts: Sequence[Part]) -> Reckoning:
    number_lines = [(replica.name, check.line) for replica, check in parts if isinstance(check.line, NumberLine)]
    if number_lines:
        return ids.reckon(number_lines)
    unnumbered = [(replica.name, check.line) for replica, check in parts if isinstance(check.line, UnnumberedLine)]
    if unnumbered:
        return reckon(unnumbered)
    book_lines = [(replica.name, check.line) for replica, check in parts if isinstance(check.line, BookLine)]
    return books.reckon(book_lines) if book_lines else Reckoning()


def _audited(exchange: str, name: str, reckoning: Reckoning, parts: Sequence[Part]) -> Reckoning:
    """Add the volume audit of each replica, if it was requested, and ids do not show missing trades."""
    if reckoning.is_numbered or all(replica.volumes is None for replica, _ in parts):
        return reckoning
    agreeing, findings = 0, list[Finding]()
    for replica, check in parts:
        audit = (replica.volumes or {}).get((exchange, Stream.parse(name).symbol))
        if audit is not None and isinstance(check.line, UnnumberedLine):
            minutes, found = audit.judge(check.line.covers())
            agreeing, findings = agreeing + minutes, [*findings, *of(replica.name, found)]
    return replace(reckoning, findings=(*reckoning.findings, *findings), audited=agreeing)


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans that overlap or touch as one."""
    return tuple(merged([list(spans)]))
