"""Scope of a fault: its count, duration, delay and probability, and the streams that it affects."""

from dataclasses import dataclass, field
from math import inf
from random import Random

from market_simulator.engine.events import Key


@dataclass(slots=True)
class Turns:
    """The occasions on which a fault acts.

    It lets `after` occasions pass, then acts `left` times (None: any number) before the time `until`. On each
    occasion it acts with probability `chance`. It has its own generator, so the same seed makes the same choices.
    An occasion on which it does not act by chance counts for neither `after` nor `left`.
    """

    left: int | None = None
    until: float = inf
    after: int = 0
    chance: float = 1.0
    seed: str = "0"
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def comes(self, now: float) -> bool:
        """Count this occasion, and return whether the fault acts."""
        if self.is_over(now) or (self.chance < 1.0 and self._random.random() >= self.chance):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True

    def is_over(self, now: float) -> bool:
        return self.left == 0 or now >= self.until


@dataclass(frozen=True, slots=True)
class Stream:
    """Selection of streams; None means any. `channels` are those that the name `channel` stands for."""

    channel: str | None = None
    symbol: str | None = None
    channels: frozenset[str] = frozenset()

    def has(self, key: Key | None) -> bool:
        """Whether the selection includes this stream. Only a selection of all streams includes None."""
        if key is None:
            return self.is_everything
        is_channel = self.channel in (None, key.channel) or key.channel in self.channels
        return is_channel and self.symbol in (None, key.instrument)

    @property
    def is_everything(self) -> bool:
        return self.channel is None and self.symbol is None
