"""Cuts a list of streams into the requests that an exchange accepts."""

from collections.abc import Iterator, Sequence

from market_collector.model.streams import Stream


def in_parts(streams: Sequence[Stream], size: int) -> Iterator[tuple[Stream, ...]]:
    """Return the streams in order, at most ``size`` of them in each part."""
    return (tuple(streams[at : at + size]) for at in range(0, len(streams), size))
