"""Time as an argument: `net` reads the clocks, the core never does."""

import msgspec


class Moment(msgspec.Struct, frozen=True, gc=False):
    """One instant on two clocks."""

    at: float
    """Monotonic seconds, for deadlines and ages. Never steps."""
    wall_ns: int
    """Nanoseconds since 1970, for records and status. May step."""
