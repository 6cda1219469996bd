"""The streams of a report, packed: there may be 8,000, and most of them only count. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from market_spec.collection import MAX_SYMBOLS
from market_spec.exchanges import DATA_TYPES, INTERVALS

STREAMS_LIMIT = MAX_SYMBOLS * (len(DATA_TYPES) + len(INTERVALS))
"""Most streams of a resource. Each interval of candles is a stream."""
DETAILED = 20
"""Streams of the same state and reason that keep their words. The status names no more."""
REASONS_LIMIT = 16
"""Most pairs of state and reason. The reasons of further ones are dropped."""
_BYTES_PER_STREAM = 50
"""Memory of a stream beside its name, while it is unpacked."""


class Stream(NamedTuple):
    """state: pending, live, quiet, unknown, stale, refused.

    `name` is SYMBOL/type, such as BTC-USDT/trade, or account/balance. `message` explains the reason.
    """

    name: str
    state: str
    since: str
    reason: str
    message: str = ""

    @property
    def symbol(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]

    @property
    def has_words(self) -> bool:
        """Whether more is known than the state and its reason."""
        return bool(self.since or self.message)


@dataclass(frozen=True, slots=True)
class Streams:
    """Streams by state and reason, without duplicates.

    Of each pair, the first by name have their words, in `detailed`. The names of the others are in `names`, one a line.
    The words of live streams are left out, since nobody reads them.
    """

    detailed: tuple[Stream, ...] = ()
    names: tuple[tuple[str, str, str], ...] = ()

    def __iter__(self) -> Iterator[Stream]:
        yield from self.detailed
        for state, reason, names in self.names:
            for name in names.split("\n"):
                yield Stream(name, state, "", reason)

    def __len__(self) -> int:
        return len(self.detailed) + sum(names.count("\n") + 1 for *_, names in self.names)

    @property
    def size(self) -> int:
        """Estimate of the memory in bytes."""
        texts = sum(_BYTES_PER_STREAM + sum(map(len, stream)) for stream in self.detailed)
        return texts + sum(len(names) + _BYTES_PER_STREAM * (names.count("\n") + 1) for *_, names in self.names)


def pack(streams: Iterable[Stream]) -> Streams:
    """The packed streams. Their names must have no line breaks."""
    groups: dict[tuple[str, str], dict[str, Stream]] = {}
    for stream in islice(streams, STREAMS_LIMIT):
        group = stream.state, stream.reason
        if group not in groups and len(groups) >= REASONS_LIMIT:
            group = "unknown", ""
        groups.setdefault(group, {})[stream.name] = stream
    detailed, names = list[Stream](), list[tuple[str, str, str]]()
    for (state, reason), found in sorted(groups.items()):
        shown = [] if state == "live" else [name for name in sorted(found) if found[name].has_words][:DETAILED]
        detailed += [found.pop(name)._replace(state=state, reason=reason) for name in shown]
        if found:
            names.append((state, reason, "\n".join(found)))
    return Streams(tuple(detailed), tuple(names))
