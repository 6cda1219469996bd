"""When a fault acts: how often, for how long, after how many occasions, and with what chance."""

from dataclasses import dataclass, field
from math import inf
from random import Random

from market_simulator.events import Key


@dataclass(slots=True)
class Turns:
    """Lets `after` occasions pass, then acts `left` times (None: without bound) before the moment `until`; each time
    with `chance`, told by a generator of its own, so that the same seed gives the same choice. An occasion that chance
    spares counts for neither `after` nor `left`."""

    left: int | None = None
    until: float = inf
    after: int = 0
    chance: float = 1.0
    seed: str = "0"
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def comes(self, now: float) -> bool:
        """Whether the fault acts on this occasion, which is counted."""
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
    """Which streams are meant; None means any."""

    channel: str | None = None
    symbol: str | None = None

    def has(self, key: Key | None) -> bool:
        """Whether this stream is meant; what belongs to no stream is meant only where everything is."""
        if key is None:
            return self.is_everything
        return self.channel in (None, key.channel) and self.symbol in (None, key.instrument)

    @property
    def is_everything(self) -> bool:
        return self.channel is None and self.symbol is None
