"""Paired rounds: both sides do the same work in turn, so that what disturbs the machine disturbs both."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, and between what it lies."""

    median: float
    min: float
    max: float

    def document(self) -> dict[str, float]:
        """As it stands in a result file: four significant digits, which is more than the machine can promise."""
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: the same quantity of ours and of the peer, in the same unit."""

    ours: float
    peer: float


def spread(values: Iterable[float]) -> Spread:
    """Median, least and greatest of at least one value."""
    found = sorted(values)
    return Spread(median(found), found[0], found[-1])


def times_faster(pairs: Iterable[Pair]) -> Spread:
    """How many times our speed is the peer's, round by round: above 1 is better."""
    return spread(pair.peer / pair.ours for pair in pairs)


def share(pairs: Iterable[Pair]) -> Spread:
    """Which part of the peer's need is ours, round by round: below 1 is better."""
    return spread(pair.ours / pair.peer for pair in pairs)


def paired(rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> list[Pair]:
    """Measures both in turn; who begins changes every round, so that no side always follows the other."""
    pairs = []
    for number in range(rounds):
        if number % 2 == 0:
            first = ours()
            pairs.append(Pair(first, peer()))
        else:
            second = peer()
            pairs.append(Pair(ours(), second))
    return pairs
