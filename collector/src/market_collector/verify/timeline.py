"""The timeline: one line per stream, one cell per slice of time. The letters are the same in every output."""

from __future__ import annotations

from collections.abc import Sequence

from market_collector.verify.report import RangeState, Span, StreamReport

NOT_RUNNING, QUIET, DATA, RECONNECT = " ", ".", "#", "|"
LETTERS = {
    RangeState.REPAIRED: "+",
    RangeState.BRIDGED: "+",
    RangeState.LOST: "x",
    RangeState.OPEN: "?",
    RangeState.UNREPORTED: "!",
}
"""Later states are painted over earlier ones."""
BLOCKS = {NOT_RUNNING: " ", QUIET: "▁", DATA: "█", RECONNECT: "│", "+": "▒", "x": "×", "?": "?", "!": "!"}
MEANINGS = {
    DATA: "data",
    QUIET: "quiet",
    RECONNECT: "reconnect or resync",
    "+": "gap filled",
    "x": "lost",
    "?": "open",
    "!": "unreported",
    NOT_RUNNING: "not recorded",
}


def whole_time(streams: Sequence[StreamReport]) -> Span | None:
    """From the first to the last record of all streams; None without records."""
    starts = [stream.from_ns for stream in streams if stream.from_ns is not None]
    ends = [stream.to_ns for stream in streams if stream.to_ns is not None]
    return (min(starts), max(ends)) if starts else None


def paint(stream: StreamReport, time: Span, width: int) -> str:
    """One stream as ``width`` letters."""
    cells = [NOT_RUNNING] * width
    _fill(cells, time, stream.running, QUIET)
    _fill(cells, time, stream.busy, DATA)
    _fill(cells, time, stream.reconnects, RECONNECT)
    for state, letter in LETTERS.items():
        spans = [
            _bounds(missing_range.from_ns, missing_range.to_ns, time)
            for missing_range in stream.reckoning.missing_ranges
            if missing_range.state is state
        ]
        _fill(cells, time, [span for span in spans if span is not None], letter)
    return "".join(cells)


def blocks(painted: str) -> str:
    """The same in Unicode blocks."""
    return "".join(BLOCKS[letter] for letter in painted)


def legend(has_blocks: bool) -> str:
    """The meaning of each cell."""
    signs = BLOCKS if has_blocks else {letter: letter for letter in MEANINGS}
    return "   ".join(f"{signs[letter] if letter.strip() else 'blank'} {text}" for letter, text in MEANINGS.items())


def _bounds(from_ns: int | None, to_ns: int | None, time: Span) -> Span | None:
    """An open gap lasts until the recording ends. A gap without times appears only in the table."""
    if from_ns is None:
        return None if to_ns is None else (to_ns, to_ns)
    end = time[1] if to_ns is None else to_ns
    return min(from_ns, end), max(from_ns, end)  # the exchange may have set its clock back


def _fill(cells: list[str], time: Span, spans: Sequence[Span], letter: str) -> None:
    start, end = time
    for first, last in spans:
        if last < start or first > end:
            continue
        low, high = _cell(max(first, start), time, len(cells)), _cell(min(last, end), time, len(cells))
        cells[low : high + 1] = letter * (high - low + 1)


def _cell(at: int, time: Span, width: int) -> int:
    return (at - time[0]) * width // (time[1] - time[0] + 1)
