"""Common judgement of answers about a stream's newest event."""

from market_collector.exchanges.interface import Evidence, Finding, Freshness


def by_number(newest: int | None, known: Evidence | None) -> Freshness:
    """Judge by a number that grows with each event of the stream.

    Args:
        newest: the number of the exchange's newest event; None if the exchange has none.
        known: the number of our last one, or of the last answer; None if there is neither.
    """
    if newest is None:
        return Freshness(Finding.EMPTY)
    if not isinstance(known, int):
        return Freshness(Finding.UNKNOWN, evidence=newest)
    if newest == known:
        return Freshness(Finding.QUIET)
    if newest < known:
        return Freshness(Finding.OLDER, detail=f"{newest} before {known}")
    return Freshness(Finding.NEWER, newest, newest, f"{newest} after {known}")
