"""Paired rounds: both sides do the same work in turn, so that a disturbance of the machine affects both."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum of some rounds."""

    median: float
    min: float
    max: float

    def document(self) -> dict[str, float]:
        """The values for a result file with four significant digits, which exceeds the accuracy of the machine."""
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: the same quantity of both sides in the same unit."""

    ours: float
    peer: float


def spread(values: Iterable[float]) -> Spread:
    """Median, minimum and maximum of at least one value."""
    found = sorted(values)
    return Spread(median(found), found[0], found[-1])


def times_faster(pairs: Iterable[Pair]) -> Spread:
    """Our speed as a multiple of the peer's, round by round. More than 1 is better."""
    return spread(pair.peer / pair.ours for pair in pairs)


def share(pairs: Iterable[Pair]) -> Spread:
    """Our consumption as a share of the peer's, round by round. Less than 1 is better."""
    return spread(pair.ours / pair.peer for pair in pairs)


def paired(rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> list[Pair]:
    """Measure both sides in turn. The first side alternates, so that neither always follows the other."""
    pairs = []
    for number in range(rounds):
        if number % 2 == 0:
            first = ours()
            pairs.append(Pair(first, peer()))
        else:
            second = peer()
            pairs.append(Pair(ours(), second))
    return pairs
