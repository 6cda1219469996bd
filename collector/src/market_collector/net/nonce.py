"""Numbers for signatures that rise strictly, whatever the clocks do."""

from functools import cache


class Nonces:
    """The numbers of one exchange: nanoseconds since 1970, or one more than the last while the clock is behind it."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, time_ns: int) -> int:
        """Return a number larger than all before."""
        self._last = max(self._last + 1, time_ns)
        return self._last


@cache
def nonces_of(exchange: str) -> Nonces:
    """Return the process's numbers for an exchange, since several collectors may use the same key."""
    return Nonces()
